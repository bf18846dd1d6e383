package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"writ/follower"
	"writ/ledger"
)

// event is a line of a watch. Empty members are left out.
type event struct {
	Event string     `json:"event"` // started, entry, finding, settled, unavailable, available, rollback, fork
	At    time.Time  `json:"at"`
	Index *uint64    `json:"index,omitempty"`
	Type  string     `json:"type,omitempty"`
	Rule  string     `json:"rule,omitempty"`
	Text  string     `json:"text,omitempty"`
	Seen  *time.Time `json:"seen,omitempty"`
	Old   string     `json:"old,omitempty"` // checkpoints of a fork
	New   string     `json:"new,omitempty"`
}

func (e *event) print(w io.Writer) {
	fmt.Fprintf(w, "%s  %-11s", e.At.UTC().Format("2006-01-02 15:04:05"), e.Event)
	if e.Index != nil {
		fmt.Fprintf(w, " %d", *e.Index)
	}
	for _, s := range []string{e.Type, e.Rule, e.Text} {
		if s != "" {
			fmt.Fprintf(w, "  %s", s)
		}
	}
	fmt.Fprintln(w)
}

// watching is a watch under way.
type watching struct {
	*auditing
	say      func(event)
	started  bool
	next     uint64                        // the entry to be read next
	told     uint64                        // entries before this index are not to be printed
	fresh    []arrival                     // to be printed once all up to the checkpoint are read
	found    int                           // findings of entries that were printed
	standing map[findingKey]ledger.Finding // that come and go, printed
	trouble  string                        // the event of why the log can't be read now
}

type arrival struct {
	index uint64
	entry []byte
}

// findingKey tells findings apart whose index is the log's size.
type findingKey struct{ rule, problem string }

// watch follows the log until ctx ends or it forks.
func (a *auditing) watch(cmd *cobra.Command, o *auditFlags) error {
	w := &watching{auditing: a, say: sayer(cmd), next: a.Size(), standing: map[findingKey]ledger.Finding{}}
	if a.state == nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "without --state a restart can't know what this run has seen")
	} else if err := w.recollect(); err != nil {
		return err
	}
	for ctx := cmd.Context(); ; {
		if err := w.look(cmd); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return w.end(cmd, o)
		case <-time.After(o.every):
		}
	}
}

// recollect goes back to the entries that earlier runs audited and did not print.
func (w *watching) recollect() (err error) {
	if w.told, err = w.state.told(); w.told > 0 {
		w.next = min(w.next, w.told)
	}
	return err
}

// sayer prints events: a line of text or of JSON each.
func sayer(cmd *cobra.Command) func(event) {
	out := cmd.OutOrStdout()
	if asJSON, err := cmd.Flags().GetBool("json"); err == nil && asJSON {
		enc := json.NewEncoder(out)
		return func(e event) { enc.Encode(e) }
	}
	return func(e event) { e.print(out) }
}

// look reads once and says what is new. It fails only where the watch must end.
func (w *watching) look(cmd *cobra.Command) error {
	c, err := w.read(cmd.Context(), w.next, w.arrive)
	if cmd.Context().Err() != nil {
		return nil
	}
	var fork *follower.ForkError
	if errors.As(err, &fork) {
		w.say(event{Event: "fork", At: time.Now(), Text: fork.Error(), Old: string(fork.Old.Signed()), New: string(fork.New.Signed())})
		return w.explain(cmd.Context(), err)
	}
	w.reachable(err)
	if err == nil {
		return w.news(c)
	}
	if c, err = w.last(); err == nil {
		w.judge(c) // the newest checkpoint there was grows old
	}
	return nil
}

// arrive keeps an entry to be printed. What was on the log at the first look is
// not printed, but for what came since the last run.
func (w *watching) arrive(index uint64, entry []byte) {
	w.next = index + 1
	if index >= w.told && (w.started || w.told > 0) {
		w.fresh = append(w.fresh, arrival{index, entry})
	}
}

// news prints what came up to a checkpoint.
func (w *watching) news(c *ledger.Checkpoint) error {
	if !w.started {
		w.started = true
		w.say(event{Event: "started", At: time.Now(), Text: fmt.Sprintf("%d entries of %s", c.Size(), c.Origin())})
	}
	for _, e := range w.fresh {
		w.entry(e, c.Time().UTC())
	}
	w.fresh = nil
	w.judge(c)
	if c.Size() == w.told {
		return nil
	}
	w.told = c.Size()
	if w.state == nil {
		return nil
	}
	return w.state.tell(w.told)
}

// entry says what a new entry shows.
func (w *watching) entry(a arrival, seen time.Time) {
	kind, text := w.describe(a.entry, w.options)
	w.say(event{Event: "entry", At: time.Now(), Index: &a.index, Type: kind, Text: text, Seen: &seen})
}

// reachable says when the log can't be read, and when it can again.
func (w *watching) reachable(err error) {
	kind := ""
	switch {
	case errors.Is(err, follower.ErrRollback):
		kind = "rollback"
	case err != nil:
		kind = "unavailable"
	}
	if kind == w.trouble {
		return
	}
	w.trouble = kind
	if kind == "" {
		w.say(event{Event: "available", At: time.Now()})
		return
	}
	w.say(event{Event: kind, At: time.Now(), Text: err.Error()})
}

// judge says which findings are new and which are settled.
func (w *watching) judge(c *ledger.Checkpoint) {
	list := w.wrong()
	for _, f := range list[w.found:] {
		w.finding("finding", f)
	}
	w.found = len(list)
	now := map[findingKey]ledger.Finding{}
	for _, f := range w.Standing(c, w.now()) {
		key := findingKey{f.Rule, f.Problem}
		if _, ok := w.standing[key]; !ok {
			w.finding("finding", f)
		}
		now[key] = f
	}
	for key, f := range w.standing {
		if _, ok := now[key]; !ok {
			w.finding("settled", f)
		}
	}
	w.standing = now
}

func (w *watching) finding(kind string, f ledger.Finding) {
	w.say(event{Event: kind, At: time.Now(), Index: &f.Index, Type: f.Type, Rule: f.Rule, Text: f.Problem})
}

// end writes the files that were asked for; its failure is the verdict.
func (w *watching) end(cmd *cobra.Command, o *auditFlags) error {
	if !w.started {
		return fail(codeUnavailable, errors.New("the log could not be read"), awayHint)
	}
	r, err := w.finish(o)
	if err != nil {
		return err
	}
	if w.trouble == "rollback" {
		return w.explain(cmd.Context(), follower.ErrRollback)
	}
	return verdict(len(r.findings))
}
