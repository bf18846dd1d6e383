package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// interruptible is an input that ends with its context: who presses Ctrl-C at a question is
// not asked on. What was being read then is lost, as the process ends.
type interruptible struct {
	ctx context.Context
	in  io.Reader
}

func (r *interruptible) Read(p []byte) (int, error) {
	type piece struct {
		b   []byte
		err error
	}
	got := make(chan piece, 1)
	go func() {
		b := make([]byte, len(p))
		n, err := r.in.Read(b)
		got <- piece{b[:n], err}
	}()
	select {
	case x := <-got:
		return copy(p, x.b), x.err
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	}
}

// confirm asks a question whose answer must be "yes".
func confirm(cmd *cobra.Command, question string) error {
	fmt.Fprint(cmd.ErrOrStderr(), question)
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil || !term.IsTerminal(int(os.Stdin.Fd())) { // nobody's Enter ended the line on the screen
		fmt.Fprintln(cmd.ErrOrStderr())
	}
	if err != nil && err != io.EOF {
		return err
	}
	if strings.TrimSpace(line) != "yes" {
		return fail(codeRefused, errors.New("not approved"), "nothing was signed")
	}
	return nil
}

// ask reads a secret from the terminal. After Ctrl-C it leaves the terminal as it was.
func ask(cmd *cobra.Command, prompt string) ([]byte, error) {
	in := int(os.Stdin.Fd())
	before, err := term.GetState(in)
	if err != nil {
		return nil, err
	}
	fmt.Fprint(cmd.ErrOrStderr(), prompt)
	defer fmt.Fprintln(cmd.ErrOrStderr())
	type answer struct {
		secret []byte
		err    error
	}
	got := make(chan answer, 1)
	go func() {
		secret, err := term.ReadPassword(in)
		got <- answer{secret, err}
	}()
	select {
	case a := <-got:
		return a.secret, a.err
	case <-cmd.Context().Done():
		return nil, errors.Join(cmd.Context().Err(), term.Restore(in, before))
	}
}
