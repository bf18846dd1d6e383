package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// show prints a result: v as one JSON document with --json, else what text
// writes for a person.
func show(cmd *cobra.Command, v any, text func(io.Writer)) error {
	asJSON, err := cmd.Flags().GetBool("json")
	if err != nil {
		return err
	}
	if !asJSON {
		text(cmd.OutOrStdout())
		return nil
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// progress is a line on a terminal that says how far long work has come. Where
// standard error is no terminal it stays silent.
type progress struct {
	w     io.Writer
	what  string
	drawn time.Time
}

// newProgress returns a progress line for work described by what, such as
// "opening compartments".
func newProgress(what string) *progress {
	p := &progress{what: what}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		p.w = os.Stderr
	}
	return p
}

// redraw is how often the line may change, so that drawing costs nothing.
const redraw = 100 * time.Millisecond

// at says that done of total parts are done.
func (p *progress) at(done, total int) {
	if p.w == nil || done < total && time.Since(p.drawn) < redraw {
		return
	}
	p.drawn = time.Now()
	fmt.Fprintf(p.w, "\r%s %d of %d\x1b[K", p.what, done, total)
}

// end takes the line away.
func (p *progress) end() {
	if p.w != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
