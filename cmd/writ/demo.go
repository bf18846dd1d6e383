package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"writ/examine"
	"writ/setup"
)

func newDemo() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "demo",
		GroupID: "try",
		Short:   "Watch the whole of it: people talk, a warrant opens exactly what it names",
		Long: `Demo runs a world on this machine, each service a process of its own, and tells
a story on it step by step: what happens, why, and what was measured. Nothing is
staged: every refusal is one that the services gave.

People say what a chat log holds, one "name: text" a line: --chat FILE, or - for
standard input; there is a short one built in. With --dir the world stays, so
that each later step can be repeated by hand.`,
		Args: cobra.NoArgs,
	}
	dir := cmd.Flags().String("dir", "", "keep the world here (default: a temporary directory, removed at the end)")
	chat := cmd.Flags().String("chat", "", "file with what people say, - for standard input (default: a short chat)")
	notice := cmd.Flags().Duration("notice-after", 20*time.Second, "when the person is told, from the drafting of the warrant")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		log, err := openChat(cmd, *chat)
		if err != nil {
			return err
		}
		where, cleanup, err := demoDir(*dir)
		if err != nil {
			return err
		}
		defer cleanup()
		s := newStory(cmd, log)
		s.noticeAfter = *notice
		if err := s.tell(cmd, where); err != nil {
			return err
		}
		if *dir != "" {
			s.byHand()
		}
		return s.finish(cmd)
	}
	return cmd
}

func openChat(cmd *cobra.Command, path string) (*chatLog, error) {
	switch path {
	case "":
		return readChat(strings.NewReader(builtinChat))
	case "-":
		return readChat(cmd.InOrStdin())
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fail(codeFailed, err, "--chat names a text file, one \"name: text\" a line")
	}
	defer f.Close()
	return readChat(f)
}

// demoDir returns the world's directory and what removes it at the end.
func demoDir(dir string) (string, func(), error) {
	if dir == "" {
		dir, err := os.MkdirTemp("", "writ-demo-")
		return dir, func() { os.RemoveAll(dir) }, err
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return "", nil, usage(fmt.Errorf("%s is not empty", dir), "a demo begins in an empty directory; writ localnet --dir "+dir+" runs a world that is there")
	}
	return dir, func() {}, nil
}

// longChat is how many messages make a demo noticeably longer.
const longChat = 500

// demoCap is how many warrants a demo's law allows in a day, so few that the
// story can go beyond it.
const demoCap = 2

// story is a demo under way. Its steps are methods; each leaves here what later
// ones need.
type story struct {
	w       io.Writer
	errs    io.Writer
	log     *chatLog
	steps   int
	started time.Time
	facts   map[string]any // what was measured, for --json
	broken  []string       // what should have held and did not

	world     *setup.World
	processes *processes
	agency    *agency
	devices   map[string]*home
	talk      talk
	cases     map[string]*examine.Case
	sealed    string
	bundle    string
	opened    uint64 // index of the request that was opened

	noticeAfter time.Duration // from the drafting of a warrant
}

func newStory(cmd *cobra.Command, log *chatLog) *story {
	s := &story{w: cmd.OutOrStdout(), errs: cmd.ErrOrStderr(), log: log, started: time.Now(),
		facts: map[string]any{}, devices: map[string]*home{}, cases: map[string]*examine.Case{}}
	if asJSON, err := cmd.Flags().GetBool("json"); err == nil && asJSON {
		s.w = cmd.ErrOrStderr()
	}
	return s
}

// tell runs all steps in order.
func (s *story) tell(cmd *cobra.Command, dir string) error {
	s.say("Writ: conversations end-to-end encrypted with accountable exceptional access.\n" +
		"This demo runs everything for real on this machine and takes about forty seconds.")
	if n := len(s.log.lines); n > longChat {
		s.say("The chat is long, %d messages, and each is really sent: count on some 25 ms for each.", n)
	}
	defer s.end()
	for _, step := range []func(*cobra.Command) error{
		func(cmd *cobra.Command) error { return s.buildWorld(cmd, dir) },
		s.peopleTalk, s.stealDatabase, s.draftWarrant, s.useUnlogged, s.publishWarrant,
		s.lackOneOffice, s.openCompartment, s.tryNeighbours, s.goBeyondCap, s.readEvidence, s.checkEvidence, s.auditLedger, s.tellPerson,
	} {
		err := step(cmd)
		if gone := cmd.Context().Err(); gone != nil {
			return fail(codeFailed, errors.New("interrupted"), "the demo begins anew each time")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// end closes devices and stops the services.
func (s *story) end() {
	for _, h := range s.devices {
		h.close()
	}
	if s.processes != nil {
		s.processes.stop()
	}
}

// title begins a step.
func (s *story) title(format string, args ...any) {
	s.steps++
	fmt.Fprintf(s.w, "\n%d. %s\n", s.steps, fmt.Sprintf(format, args...))
}

// say prints a paragraph.
func (s *story) say(format string, args ...any) {
	for l := range strings.Lines(fmt.Sprintf(format, args...)) {
		fmt.Fprintf(s.w, "   %s\n", strings.TrimRight(l, "\n"))
	}
}

// must says what should hold and whether it does.
func (s *story) must(holds bool, format string, args ...any) {
	claim := fmt.Sprintf(format, args...)
	mark := "ok "
	if !holds {
		mark = "NO "
		s.broken = append(s.broken, claim)
	}
	fmt.Fprintf(s.w, "   [%s] %s\n", mark, claim)
}

// fact keeps a measured figure for --json.
func (s *story) fact(name string, value any) { s.facts[name] = value }

// finish prints the sum, and fails if anything did not hold.
func (s *story) finish(cmd *cobra.Command) error {
	s.fact("seconds", time.Since(s.started).Seconds())
	s.fact("broken", s.broken)
	fmt.Fprintf(s.w, "\nDone in %.0f s. ", time.Since(s.started).Seconds())
	if len(s.broken) == 0 {
		fmt.Fprintln(s.w, "Everything held.")
	} else {
		fmt.Fprintf(s.w, "%d things did NOT hold.\n", len(s.broken))
	}
	s.say(`What this does not show, because it can't be so: custodians of every office who
collude off the log can open what is sealed until the keys are destroyed; a bad
warrant that all approve opens; delivery sees who talks with whom and when. That a
device spoke is proven, not whose hand held it. doc/threat-model.md says it all.`)
	if asJSON, err := cmd.Flags().GetBool("json"); err == nil && asJSON {
		if err := show(cmd, s.facts, nil); err != nil {
			return err
		}
	}
	if len(s.broken) > 0 {
		return fail(codeInvalid, errors.New(strings.Join(s.broken, "; ")), "")
	}
	return nil
}

// nextSecond waits for the next full second, so that what begins after it has
// a later time than what came before.
func nextSecond(ctx context.Context) (time.Time, error) {
	t := time.Now().Truncate(time.Second).Add(time.Second)
	select {
	case <-time.After(time.Until(t) + 5*time.Millisecond):
		return t, nil
	case <-ctx.Done():
		return t, ctx.Err()
	}
}
