package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// code is an exit code that scripts can rely on.
type code int

const (
	codeFailed      code = 1
	codeUsage       code = 2
	codeRefused     code = 3
	codeInvalid     code = 4
	codeUnavailable code = 5
)

// failure is an error with what to do about it.
type failure struct {
	err  error
	hint string
	code code
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// fail wraps err with an exit code and a hint, which may be empty.
func fail(c code, err error, hint string) error {
	return &failure{err: err, hint: hint, code: c}
}

// usage is the failure of a command line that can't be understood.
func usage(err error, hint string) error { return fail(codeUsage, err, hint) }

// report prints an error the way every subcommand does and returns its code.
func report(w io.Writer, err error) int {
	f := &failure{err: err, code: codeFailed}
	if !errors.As(err, &f) && errors.Is(err, context.Canceled) {
		f = &failure{err: errors.New("interrupted"), code: codeFailed,
			hint: "nothing is lost: the same command again goes on from here"}
	}
	if unknownCommand(err) {
		f.code, f.hint = codeUsage, "writ --help lists the commands"
	}
	fmt.Fprintf(w, "error: %s\n", err)
	if f.hint != "" {
		fmt.Fprintf(w, "hint: %s\n", f.hint)
	}
	return int(f.code)
}

// unknownCommand recognises the errors cobra makes of a wrong command line
// before any command of ours runs; it gives them no type.
func unknownCommand(err error) bool {
	s := err.Error()
	return strings.HasPrefix(s, "unknown command") || strings.HasPrefix(s, "accepts ") ||
		strings.HasPrefix(s, "requires at least") || strings.HasPrefix(s, "required flag")
}
