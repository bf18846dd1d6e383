package registry

import (
	"testing"
	"time"

	"writ/api"
	"writ/charter"
	"writ/directory"
	"writ/directory/keyproof"
)

// dated asks for an account with its dates and verifies them.
func (w *world) dated(p *person) *keyproof.Account {
	w.t.Helper()
	r, err := w.client.LookUp(background, &api.LookUpRequest{Accounts: []string{p.name}, Dated: true})
	w.must(err)
	proof := &keyproof.Proof{Account: p.name, Checkpoint: r.Checkpoint, Lookup: r.Lookups[0]}
	for i, d := range r.Dates[0].Dates {
		if len(d.Before) == 0 || len(d.After) == 0 {
			w.t.Errorf("version %d has no date", i+1)
		}
		proof.Dates = append(proof.Dates, keyproof.Date{Version: uint64(i) + 1, Before: d.Before, After: d.After})
	}
	log, err := keyproof.NewLog(charter.Directory{Policy: w.policy.String(), VRF: [32]byte(w.config.Labels.Public().Bytes())})
	w.must(err)
	a, err := log.Verify(proof, time.Now(), time.Minute)
	w.must(err)
	return a
}

// rests waits until a checkpoint is that much younger than now, and returns its time.
func (w *world) rests(d time.Duration) time.Time {
	w.t.Helper()
	for end := time.Now().Add(d); ; time.Sleep(50 * time.Millisecond) {
		r, err := w.client.LookUp(background, &api.LookUpRequest{Accounts: []string{"ben"}})
		w.must(err)
		c, err := w.policy.Checkpoint(r.Checkpoint, time.Now(), time.Minute)
		w.must(err)
		if c.Time().After(end) {
			return c.Time()
		}
	}
}

// DIR-50: each statement is dated by the checkpoints around it, to the second while the
// registry runs, also after a restart and whatever came later.
func TestDates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	ann, before := w.newPerson("ann"), time.Now().Truncate(time.Second)
	w.must(w.put(ann.chain.Newest()))
	w.must(w.put(w.adds(ann, "tablet")))
	after := time.Now()
	w.stop()
	w.start()
	w.rests(2 * time.Second)
	w.must(w.put(w.newPerson("ben").chain.Newest()))
	rested := w.rests(2 * time.Second)
	drop := ann.chain.Draft()
	drop.Drop("phone")
	drop.SignAs("phone", directory.DeviceSigner(ann.devices["phone"]))
	w.must(w.put(drop))
	for range 2 {
		a := w.dated(ann)
		for _, device := range []string{"phone", "tablet"} {
			key := public(ann.devices[device])
			k, err := a.Key(device, key[:])
			w.must(err)
			if k.Since.By.Before(before) || k.Since.By.After(after) || k.Since.From.After(k.Since.By) {
				t.Errorf("%s: since %v, put between %v and %v", device, k.Since, before, after)
			}
			if err := k.At(after); err != nil || k.Dropped != (device == "phone") {
				t.Errorf("%s: %v, dropped %v", device, err, k.Dropped)
			}
			if k.Dropped && (k.Until.From.Before(rested) || k.Until.By.Before(k.Until.From)) {
				t.Errorf("until %v, put after %v", k.Until, rested)
			}
		}
		w.stop()
		w.start()
	}
	if r, err := w.client.LookUp(background, &api.LookUpRequest{Accounts: []string{"ann"}}); err != nil || len(r.Dates) != 0 {
		t.Errorf("dates that nobody asked for: %v %v", r.GetDates(), err)
	}
}
