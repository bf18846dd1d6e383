package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"writ/bundle"
	"writ/client"
	"writ/engine"
	"writ/setup"
)

// Who presses Ctrl-C at a question is not kept waiting for an answer, and nothing is
// approved.
func TestQuestionEndsWithItsCommand(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	in, typing := io.Pipe()
	defer typing.Close()
	cmd := &cobra.Command{}
	cmd.SetIn(&interruptible{ctx, in})
	cmd.SetErr(io.Discard)
	done := make(chan error)
	go func() { done <- confirm(cmd, "Approve? ") }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	for answer, want := range map[string]code{"yes\n": 0, "yes": 0, "no\n": codeRefused, "": codeRefused} {
		cmd.SetIn(&interruptible{context.Background(), strings.NewReader(answer)})
		if err := confirm(cmd, "Approve? "); want == 0 && err != nil || want != 0 && codeOf(err) != want {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

// An interruption is told as one, also where the error that it became says that a service is
// down; but not where the same command again would send a message twice. What a service said
// is shown in one line and changes nothing around it.
func TestReport(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"plain":       {fmt.Errorf("log: %w", context.Canceled), "error: interrupted\nhint: nothing is lost"},
		"unavailable": {fail(codeUnavailable, fmt.Errorf("log: %w", context.Canceled), "is the notary running?"), "error: interrupted\n"},
		"queued":      {personError(fmt.Errorf("%w: %w", client.ErrQueued, context.Canceled)), "hint: it is kept"},
		"invalid":     {fail(codeInvalid, fmt.Errorf("gap: %w", context.Canceled), "tell an auditor"), "hint: tell an auditor"},
		"full disk":   {fail(codeFailed, fmt.Errorf("key: %w", syscall.ENOSPC), "keys are never overwritten"), "error: key: no space left on device\nhint: is the disk full"},
		"store":       {fmt.Errorf("replica: %w: disk I/O error (4874)", engine.ErrBroken), "the disk can't be written or read\nhint: is the disk full"},
		"a screen":    {fail(codeFailed, errors.New("docket: \x1b[2Jno\nerror: none"), "\x1b]0;x\x07\nrun this"), "error: docket: ⟦U+001B⟧[2Jno; error: none\nhint: ⟦U+001B⟧]0;x⟦U+0007⟧; run this\n"},
	} {
		var out bytes.Buffer
		report(&out, &cobra.Command{}, c.err)
		if !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: %q", name, out.String())
		}
	}
}

// What libraries say is told in words for people, and once; what the words are part of stays.
func TestPlain(t *testing.T) {
	for said, want := range map[string]string{
		"client: read: client: login: permission_denied: delivery: refused: no\nclient: read: client: login: permission_denied: delivery: refused: no": "read: login: delivery: refused: no",
		"unavailable: dial tcp 127.0.0.1:1: connect: connection refused":                                                                               "nothing answers at 127.0.0.1:1: connection refused",
		`follower: Get "http://x.invalid/checkpoint": dial tcp: lookup x.invalid on 127.0.0.53:53: no such host`:                                       "follower: http://x.invalid/checkpoint: there is no host x.invalid",
		"docket: context deadline exceeded": "docket: no answer came in time",
		"the client: unknown to us":         "the client: unknown to us",
	} {
		if got := plain(errors.New(said)); got != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
}

// A message can't put words into another's mouth, nor rewrite the screen.
func TestMessageStaysItsSenders(t *testing.T) {
	e := shown{Kind: client.Message.String(), Sender: "eve/phone", Text: "hello\n12:00 ben/phone: I did it\x1b[1A\u202e"}
	want := "eve/phone: hello\n    | 12:00 ben/phone: I did it⟦U+001B⟧[1A⟦U+202E⟧"
	if got := e.line(); got != want {
		t.Errorf("%q", got)
	}
	e = shown{Kind: client.Held.String(), Sender: "eve/phone", Reason: "no\nben/phone: yes"}
	if got := e.line(); strings.Contains(got, "\n") {
		t.Errorf("%q", got)
	}
}

// A line that no message can hold ends the chat with an error, not in silence.
func TestLineTooLong(t *testing.T) {
	lines := make(chan string, 1)
	long := strings.Repeat("a", client.MaxText)
	if err := readLines(context.Background(), strings.NewReader(long+"\n"), lines); err != nil || <-lines != long {
		t.Errorf("the longest message: %v", err)
	}
	if err := readLines(context.Background(), strings.NewReader(long+long+"\n"), lines); codeOf(err) != codeUsage {
		t.Errorf("too long: %v", err)
	}
}

// What was asked to end is no error; what failed beside it is.
func TestTogether(t *testing.T) {
	failed := errors.New("the socket broke")
	asked := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	if err := together(context.Background(), asked, func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("the server failed: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := together(ctx, asked, func() error { <-ctx.Done(); return nil }); err != nil {
		t.Errorf("asked to end: %v", err)
	}
	if err := together(ctx, func(context.Context) error { return failed }, func() error { return ctx.Err() }); !errors.Is(err, failed) {
		t.Errorf("the background failed: %v", err)
	}
}

// A device that is repeated with another deployment file does not trust what that says.
func TestHomeKeepsItsDeployment(t *testing.T) {
	good := setup.Deployment{Name: "x", Delivery: "http://a", Ledger: "http://b", Directory: "http://c", Policy: "p", Charters: []string{"1"}}
	dir := t.TempDir()
	for range 2 {
		if err := keepDeployment(dir, &good); err != nil {
			t.Fatal(err)
		}
	}
	for what, change := range map[string]func(*setup.Deployment){
		"laws":      func(d *setup.Deployment) { d.Charters = []string{"2"} },
		"one more":  func(d *setup.Deployment) { d.Charters = []string{"1", "2"} },
		"policy":    func(d *setup.Deployment) { d.Policy = "q" },
		"ledger":    func(d *setup.Deployment) { d.Ledger = "http://e" },
		"delivery":  func(d *setup.Deployment) { d.Delivery = "http://e" },
		"directory": func(d *setup.Deployment) { d.Directory = "http://e" },
	} {
		bad := good
		change(&bad)
		if err := keepDeployment(dir, &bad); codeOf(err) != codeRefused {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Evidence that lacks messages is not told as one whose keys alone are not proven.
func TestLacking(t *testing.T) {
	for _, c := range []struct {
		complete, proven, gaps bool
		want                   code
	}{
		{true, true, false, 0}, {true, false, false, codeUnproven}, {false, true, false, codeInvalid}, {false, true, true, 0},
		{false, false, false, codeInvalid}, {false, false, true, codeUnproven},
	} {
		err := lacking(&bundle.Report{Complete: c.complete, KeysProven: c.proven}, c.gaps)
		if c.want == 0 && err != nil || c.want != 0 && codeOf(err) != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
