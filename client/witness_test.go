package client

import (
	"testing"
	"time"
)

// TestDirectoryWitnessIsReplaced: an amendment names another witness for the directory.
// The device goes by the version in force as soon as it is, and by what it saw before,
// before and after its person acknowledged it and across a restart.
func TestDirectoryWitnessIsReplaced(t *testing.T) {
	w := newWorld(t)
	storage := NewMemory()
	anna, err := Open(w.config(storage))
	w.check(err)
	w.register(anna, phone("a-wit"), w.access)
	w.device("b-wit", w.access)
	w.check(anna.look("b-wit"))
	next := *w.law.Charter
	next.Number, next.Previous = 2, w.access
	next.Directory.Policy = w.directory.Replace()
	h := w.enact(w.law.Sign(&next))
	w.laws[h] = &next
	if err := anna.look("b-wit"); err == nil {
		t.Fatal("the new witness counts before the law is in force")
	}
	w.wait(time.Duration(w.law.Charter.Limits.ActivationDelay) * time.Second)
	w.check(anna.look("b-wit"))
	for range 2 {
		anna, err = Open(w.config(storage))
		w.check(err)
		w.check(anna.look("b-wit"))
		w.check(anna.Acknowledge(h))
	}
	fork := w.directory.Fork()
	for _, account := range []string{"c-wit", "d-wit"} {
		w.device(account, h)
	}
	w.check(anna.look("c-wit"))
	anna.cfg.Directory = fork // which the new witness cosigns too
	if err := anna.look("b-wit"); err == nil {
		t.Error("another history of the directory is believed")
	}
}

// look asks the directory for an account.
func (d *Device) look(account string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := d.lookUp(background, account)
	return err
}
