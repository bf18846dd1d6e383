package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"writ/audit"
	"writ/bundle"
	"writ/ledger"
	"writ/setup"
)

// readFile reads a file that may vanish while a service runs.
func readFile(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// short is an error in few words.
func short(err error) string {
	if err == nil {
		return "no error"
	}
	text := callError(err).Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return text
}

// refusalsLogged waits until the ledger has the custodians' refusals, which they
// log after they have answered.
func (s *story) refusalsLogged(cmd *cobra.Command) error {
	size := uint64(0)
	for {
		copy, err := s.agency.ledger(cmd)
		if err != nil {
			return err
		}
		now, _ := copy.Head()
		if err := copy.Close(); err != nil {
			return err
		}
		if now == size {
			return nil
		}
		size = now
		select {
		case <-time.After(3 * time.Second):
		case <-cmd.Context().Done():
			return cmd.Context().Err()
		}
	}
}

// byHand says how to repeat the steps on the world that stays.
func (s *story) byHand() {
	dir := s.world.Dir
	fmt.Fprintf(s.w, `
By hand, on the world in %[1]s:

  %[2]s verify %[1]s/bundle.writ
  %[2]s audit %[1]s/notary/log --policy %[1]s/policy.txt    as a page: %[1]s/audit.html
  %[2]s localnet --dir %[1]s        brings the world up again; then, elsewhere:
  %[2]s chat - --home %[1]s/people/%[3]s
  %[2]s warrant list --deployment %[1]s/deployment.json
`, dir, self(), s.log.accounts[len(s.log.accounts)-1])
}

// readEvidence is one person's reading, recorded before it is shown, and the
// export that a court will get.
func (s *story) readEvidence(cmd *cobra.Command) error {
	s.title("Who reads it is on the ledger before they see a word")
	const who = "inspector-1"
	_, err := verify(s.sealed, filepath.Join(s.world.Dir, setup.PolicyFile), nil)
	s.must(err != nil, "what was opened lies sealed: %v", err)
	deployment, key := filepath.Join(s.world.Dir, setup.DeploymentFile), filepath.Join(s.world.Dir, "keys", who+".key")
	f := readerFlags{&deployment, &key}
	r, _, err := f.read(cmd, s.sealed, ledger.PurposeRead)
	if err != nil {
		return err
	}
	s.say(`The key has two parts: one for each reader whom the warrant names, one at the
docket, which gives it only against a reading on the ledger. Entry %d is the reading
of %s, signed with their own key. The entry names no one.`, r.Index, who)
	out, report, err := f.read(cmd, s.sealed, ledger.PurposeExport)
	if err != nil {
		return err
	}
	s.bundle = filepath.Join(s.world.Dir, "bundle.writ")
	if err := setup.Write(s.bundle, out.Bundle, 0o600); err != nil {
		return err
	}
	s.must(len(report.Readings) == 2, "the export for the court is recorded too, as entry %d; the bundle lists both", out.Index)
	return nil
}

// checkEvidence verifies the bundle offline, and with bits changed.
func (s *story) checkEvidence(*cobra.Command) error {
	s.title("The evidence is verified offline, by anyone")
	b, err := readFile(s.bundle)
	if err != nil {
		return err
	}
	began := time.Now()
	report, err := bundle.Verify(b, s.agency.trust.policy)
	if err != nil {
		s.must(false, "the bundle verifies: %v", err)
		return nil
	}
	took := time.Since(began)
	s.say("%s is one file of %d bytes. With the witness policy and nothing else:", filepath.Base(s.bundle), len(b))
	for _, c := range report.Checks {
		s.say("  - %s", c.Shows)
	}
	s.must(report.Complete, "it verifies in %d ms: %s", took.Milliseconds(), report.Verdict())
	if c := &report.Compartments[0]; c.Key != nil {
		s.must(report.KeysProven, "whose key signed is proven too: the directory's log had that of %s/%s by %s", c.Account, c.Device, c.Key.By)
	}
	const flips = 256
	noticed := 0
	for i := range flips {
		at := i * (len(b) - 1) / (flips - 1)
		b[at] ^= 1 << (i % 8)
		if _, err := bundle.Verify(b, s.agency.trust.policy); err != nil {
			noticed++
		}
		b[at] ^= 1 << (i % 8)
	}
	s.must(noticed == flips, "with one bit changed, in %d places, it fails %d times", flips, noticed)
	s.fact("bundle_bytes", len(b))
	return nil
}

// auditLedger recounts everything from the log's own files.
func (s *story) auditLedger(cmd *cobra.Command) error {
	s.title("An auditor recomputes the statistics from the log's files")
	if err := s.refusalsLogged(cmd); err != nil {
		return err
	}
	o := auditFlags{policy: filepath.Join(s.world.Dir, setup.PolicyFile), html: filepath.Join(s.world.Dir, "audit.html")}
	a, err := o.open(filepath.Join(s.world.Dir, "notary", "log"))
	if err != nil {
		return err
	}
	if _, err := a.read(cmd.Context(), 0, func(uint64, []byte) {}); err != nil {
		return a.explain(cmd.Context(), err)
	}
	result, err := a.finish(&o)
	if err != nil {
		return err
	}
	r := result.value.(*audit.Report)
	all := &r.Laws[0].Tables[0]
	for _, f := range all.Figures() {
		s.say("  %-32s%s", f.Name, f.Value)
	}
	s.must(r.Holds, "all %d entries count, every signature and rule holds: %d findings", r.Entries, len(r.Findings))
	s.must(all.Orders == demoCap+1 && all.BeyondCap == 1, "every warrant of this story is there: %d, one of them beyond the cap", all.Orders)
	s.must(all.Releases == 6, "every release is there: %d, of five custodians when one office lacked, and of one more when it did not", all.Releases)
	s.fact("audit", r)
	return nil
}
