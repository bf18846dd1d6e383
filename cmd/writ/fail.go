package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"writ/client"
	"writ/engine"
	"writ/ledger"
)

// code is an exit code that scripts can rely on.
type code int

const (
	codeFailed      code = 1
	codeUsage       code = 2
	codeRefused     code = 3
	codeInvalid     code = 4
	codeUnavailable code = 5
	codeFindings    code = 6
	codeUnproven    code = 7
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

// hinted gives an error a hint if it has none.
func hinted(err error, hint string) error {
	if f := (&failure{}); errors.As(err, &f) && f.hint != "" {
		return err
	}
	return fail(codeOf(err), err, hint)
}

// codeOf is the exit code of an error.
func codeOf(err error) code {
	if f := (&failure{}); errors.As(err, &f) {
		return f.code
	}
	return codeFailed
}

// quorumHint is for a checkpoint that too few witnesses of a policy cosigned.
const quorumHint = "the law may name other witnesses by now: take the newest deployment file, and policy.txt; if it is that one, witnesses are away"

const diskHint = "is the disk full, or damaged? what was not stored did not happen: with room there, the same command goes on"

// report prints an error the way every subcommand does and returns its code.
func report(w io.Writer, cmd *cobra.Command, err error) int {
	f := &failure{err: err, code: codeFailed}
	switch known := errors.As(err, &f); {
	case interrupted(err) && (!known || f.code == codeUnavailable):
		f = &failure{err: errors.New("interrupted"), code: codeFailed,
			hint: "nothing is lost: the same command again goes on from here"}
		err = f
	case known:
	case wrongLine(err):
		f.code, f.hint = codeUsage, cmd.CommandPath()+" --help"
		if strings.Contains(err.Error(), "arg(s)") {
			err = fmt.Errorf("%w: %s", err, strings.TrimSuffix(cmd.UseLine(), " [flags]"))
		}
	case errors.Is(err, syscall.EAGAIN):
		f.hint = "another process runs on this directory; only one may"
	case errors.Is(err, ledger.ErrNoQuorum):
		f.hint = quorumHint
	case errors.Is(err, ledger.ErrRefused):
		f.hint = "is it the right deployment file, or policy? and is a copy of the ledger that was kept from another one?"
	case errors.Is(err, os.ErrNotExist):
		f.hint = cmd.CommandPath() + " --help says which files it reads and writes"
	}
	if diskError(err) {
		f.hint = diskHint
	}
	fmt.Fprintf(w, "error: %s\n", plain(err))
	if f.hint != "" {
		fmt.Fprintf(w, "hint: %s\n", oneLine(f.hint))
	}
	return int(f.code)
}

// interrupted reports whether a command failed since its person pressed Ctrl-C. A message
// that is kept unsent is no such failure: sent by the same command again it would go twice.
func interrupted(err error) bool {
	return errors.Is(err, context.Canceled) && !errors.Is(err, client.ErrQueued)
}

// diskError reports whether a file could not be written for want of room, or at all.
func diskError(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) || errors.Is(err, syscall.EIO) ||
		errors.Is(err, engine.ErrBroken) || strings.Contains(err.Error(), "disk I/O error") || strings.Contains(err.Error(), "disk is full")
}

// wrongLine recognises the errors cobra makes of a wrong command line before
// any command of ours runs; it gives them no type.
func wrongLine(err error) bool {
	for _, prefix := range []string{"unknown command", "accepts ", "requires at least", "required flag", "if any flags in the group", "at least one of the flags in the group"} {
		if strings.HasPrefix(err.Error(), prefix) {
			return true
		}
	}
	return false
}
