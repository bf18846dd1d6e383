package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"writ/examine"
	"writ/warrant"
)

// newCase makes a case. A renewal takes the warrant that it renews along, which
// custodians ask for.
func (a *agency) newCase(w *warrant.Warrant) (*examine.Case, error) {
	c, err := examine.NewCase(w, a.reader)
	if err != nil || w.Renews == [32]byte{} {
		return c, err
	}
	c.Renewed, err = a.original(w.Renews)
	return c, err
}

// original finds the case whose warrant has a commitment.
func (a *agency) original(commitment [32]byte) ([]byte, error) {
	files, err := os.ReadDir(filepath.Join(a.dir, "cases"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for _, f := range files {
		old, err := a.loadCase(strings.TrimSuffix(f.Name(), ".json"))
		if err == nil && warrant.Commitment(old.Salt, old.Warrant.Hash()) == commitment {
			return warrant.Salted(old.Warrant, old.Salt), nil
		}
	}
	return nil, fail(codeFailed, errors.New("the warrant that it renews is no case of this agency"), "writ warrant template --renews CASE fills it in")
}
