package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
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
  %[2]s audit %[1]s/notary/log --policy %[1]s/policy.txt
  %[2]s localnet --dir %[1]s        brings the world up again; then, elsewhere:
  %[2]s chat - --home %[1]s/people/%[3]s
  %[2]s warrant list --deployment %[1]s/deployment.json
`, dir, self(), s.log.accounts[len(s.log.accounts)-1])
}
