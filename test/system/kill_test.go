package system

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"writ/api"
	"writ/client"
	"writ/directory"
	"writ/directory/directorytest"
	"writ/follower"
	"writ/ledger"
	"writ/setup"
)

// soak is how long faults go on.
func soak(t *testing.T) time.Duration {
	s := os.Getenv("WRIT_SOAK")
	if s == "" {
		return 12 * time.Second
	}
	minutes, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatalf("WRIT_SOAK=%q is no number of minutes", s)
	}
	return time.Duration(minutes * float64(time.Minute))
}

// seed comes from WRIT_SEED, or from the clock, and is printed.
func seed(t *testing.T) *rand.Rand {
	n := uint64(time.Now().UnixNano())
	if s := os.Getenv("WRIT_SEED"); s != "" {
		var err error
		if n, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("WRIT_SEED=%d", n)
	return rand.New(rand.NewPCG(n, 0))
}

// speaker says things in a conversation as long as it may, and keeps count of
// what the device took on.
type speaker struct {
	*device
	accepted []string // Send returned nil, or that it is kept and will be sent
	renewed  int
}

func (s *speaker) talk(until time.Time, id client.ConversationID, r *rand.Rand) error {
	for n := 0; time.Now().Before(until); n++ {
		if _, err := s.Sync(ctx); err != nil && !transient(err) {
			return fmt.Errorf("sync: %w", err)
		}
		text := fmt.Sprintf("%s says number %d", s.name, n)
		switch err := s.Send(ctx, id, text); {
		case err == nil, errors.Is(err, client.ErrQueued):
			s.accepted = append(s.accepted, text)
		case !transient(err):
			return fmt.Errorf("send: %w", err)
		}
		if r.IntN(12) == 0 {
			if err := s.Renew(ctx, id); err == nil {
				s.renewed++
			} else if !transient(err) {
				return fmt.Errorf("renew: %w", err)
			}
		}
		time.Sleep(time.Duration(r.IntN(60)) * time.Millisecond)
	}
	return nil
}

// transient reports whether an error is one of a service that is away.
func transient(err error) bool {
	s := err.Error()
	return errors.Is(err, client.ErrQueued) || strings.Contains(s, "unavailable") || strings.Contains(s, "connection refused") ||
		strings.Contains(s, "EOF") || strings.Contains(s, "connection reset")
}

// TestKill is section "faults" of the issue: services are killed at any time
// under load and started again by the same command; nothing acknowledged is
// lost, doubled or reordered, nothing is released twice or unlogged.
func TestKill(t *testing.T) {
	r, length := seed(t), soak(t)
	w := newWorld(t, setup.WorldOptions{Cap: 10000})
	people := w.people("anna", "ben", "chloe")
	id, err := people[0].Create(ctx, "ben", "chloe")
	must(t, err)
	for _, p := range people[1:] {
		_, err := p.Sync(ctx)
		must(t, err)
	}
	until := time.Now().Add(length)
	var busy sync.WaitGroup
	speakers := make([]*speaker, len(people))
	for i, p := range people {
		speakers[i] = &speaker{device: p}
		own := rand.New(rand.NewPCG(r.Uint64(), 0))
		busy.Go(func() {
			if err := speakers[i].talk(until, id, own); err != nil {
				t.Errorf("%s: %v", p.name, err)
			}
		})
	}
	law := &prosecution{world: w}
	busy.Go(func() { law.work(until) })
	var settled []string
	busy.Go(func() { settled = w.settle(laws{people[0].copied}, until) })
	kills := w.havoc(r, until)
	busy.Wait()

	w.checkTalk(speakers, id)
	w.checkSettled(people[0], settled)
	law.finish()
	w.checkLedger(law)
	w.checkTold()
	t.Logf("%d kills; %d warrants opened, %d commands of theirs repeated; %d accounts registered", kills, len(law.opened), law.repeated, len(settled))
	if kills < 5 || len(law.opened) == 0 {
		t.Errorf("%d kills and %d warrants opened test little", kills, len(law.opened))
	}
}

// havoc kills services, one or two at once, and starts them again, each at least once,
// until all run at the end. A witness runs its operator of the beacon too.
func (w *world) havoc(r *rand.Rand, until time.Time) (kills int) {
	first, rest, err := w.Services()
	must(w.t, err)
	all := append(first, rest...)
	order := r.Perm(len(all)) // every one in turn
	for n := 0; n < len(order) || time.Now().Before(until); n++ {
		victims := []string{all[order[n%len(order)]]}
		if r.IntN(3) == 0 {
			if other := all[r.IntN(len(all))]; other != victims[0] {
				victims = append(victims, other)
			}
		}
		time.Sleep(time.Duration(50+r.IntN(400)) * time.Millisecond)
		w.kill(victims...)
		kills += len(victims)
		time.Sleep(time.Duration(r.IntN(400)) * time.Millisecond)
		for _, v := range victims {
			w.start(v)
		}
	}
	return kills
}

// settle registers one account after the other, each with the directory, and returns
// those that were told that it is done.
func (w *world) settle(known client.Laws, until time.Time) (settled []string) {
	for n := 0; time.Now().Before(until); n++ {
		name := fmt.Sprintf("settler-%d", n)
		d, err := client.Open(client.Config{Storage: client.NewMemory(), Delivery: api.NewDeliveryClient(http.DefaultClient, w.Deployment.Delivery),
			Address: w.Deployment.Delivery, Laws: known, Directory: api.NewDirectoryClient(http.DefaultClient, w.Deployment.Directory), Now: time.Now})
		if err != nil {
			w.t.Error(err)
			return settled
		}
		for {
			err := d.Register(ctx, directory.Identity{Account: name, Device: "phone"}, w.Signed.Hash(), directorytest.Recovery(name).Public())
			if err == nil {
				settled = append(settled, name)
				break
			}
			if !transient(err) {
				w.t.Errorf("%s: %v", name, err)
				return settled
			}
			if time.Now().After(until) {
				return settled
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return settled
}

// checkSettled demands that the directory proves the one device of each account that it
// took on, from one statement.
func (w *world) checkSettled(by *device, settled []string) {
	w.t.Helper()
	for _, name := range settled {
		eventually(w.t, 20*time.Second, func() error {
			list, version, err := by.Devices(ctx, name)
			if err == nil && (len(list) != 1 || version != 1) {
				w.t.Errorf("%s has %d devices in version %d", name, len(list), version)
			}
			return err
		})
	}
	if len(settled) == 0 {
		w.t.Error("nobody registered")
	}
}

// checkTold demands that the operators of the beacon bring every round that is due.
func (w *world) checkTold() {
	w.t.Helper()
	eventually(w.t, 30*time.Second, func() error {
		b := ledger.NewBook(w.Signed.Hash())
		for i, e := range w.entries() {
			must(w.t, b.Apply(uint64(i), e.Bytes(), time.Now()))
		}
		if late := b.Waiting(time.Now()); len(late) > 0 {
			return fmt.Errorf("%d requests wait for a round that has come", len(late))
		}
		if len(b.Notices(0, time.Now())) == 0 {
			return errors.New("nobody was told")
		}
		return nil
	})
}

// checkTalk demands that everybody shows everything that any device took on,
// once, each sender's words in order, and all in one order.
func (w *world) checkTalk(speakers []*speaker, id client.ConversationID) {
	w.t.Helper()
	total := 0
	for _, s := range speakers {
		total += len(s.accepted)
	}
	for _, s := range speakers { // first what each has still to send, then what all have to read
		eventually(w.t, 20*time.Second, func() error { _, err := s.Sync(ctx); return err })
	}
	for _, s := range speakers {
		eventually(w.t, 20*time.Second, func() error { _, err := s.Sync(ctx); return err })
	}
	first := speakers[0].texts(w.t, id)
	w.t.Logf("%d messages accepted, %d shown", total, len(first))
	for _, s := range speakers {
		texts := s.texts(w.t, id)
		if !slices.Equal(sorted(texts), sorted(first)) {
			w.t.Errorf("%s and %s show different messages", s.name, speakers[0].name)
		}
		for _, of := range speakers {
			var said []string
			for _, text := range texts {
				if strings.HasPrefix(text, of.name+" ") {
					said = append(said, text)
				}
			}
			if !slices.Equal(said, of.accepted) {
				w.t.Errorf("%s shows %d messages of %s, which were %d: %s", s.name, len(said), of.name, len(of.accepted), difference(said, of.accepted))
			}
		}
	}
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

func difference(got, want []string) string {
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			return fmt.Sprintf("at %d: shown %q, said %q", i, at(got, i), at(want, i))
		}
	}
	return "none"
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "nothing"
}

// prosecution takes one warrant after the other from draft to bundle by the
// command line, and repeats each command that was interrupted.
type prosecution struct {
	*world
	cases     []string
	published map[string]uint64 // index that publish acknowledged
	opened    []string
	repeated  int
}

// patient repeats a command until it succeeds, and returns what it printed.
func (p *prosecution) patient(limit time.Duration, args ...string) (string, error) {
	for end := time.Now().Add(limit); ; time.Sleep(200 * time.Millisecond) {
		r := p.run(args...)
		if r.code == 0 {
			return r.out, nil
		}
		if !strings.HasPrefix(r.errors, "error: ") || strings.Contains(r.errors, "panic") {
			return "", fmt.Errorf("writ %s: %s", strings.Join(args, " "), r.errors)
		}
		if time.Now().After(end) {
			return "", fmt.Errorf("writ %s for %v: %s", strings.Join(args, " "), limit, r.errors)
		}
		p.repeated++
	}
}

func (p *prosecution) work(until time.Time) {
	p.published = map[string]uint64{}
	for n := 0; time.Now().Before(until); n++ {
		name := fmt.Sprintf("case-%d", n)
		if err := p.prosecute(name); err != nil {
			p.t.Errorf("%s: %v", name, err)
			return
		}
	}
}

// prosecute repeats every step of a warrant until it is done.
func (p *prosecution) prosecute(name string) error {
	const limit = 40 * time.Second
	draft, err := p.patient(limit, "warrant", "template", "--subject", "anna", "--subject-again", "anna", "--window", "1h", "--notice", "10s", "--reference", name, "--entity", "agency",
		"--necessity", grounds, "--least-intrusive", "nothing less")
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.path(name+".json"), []byte(draft), 0o600); err != nil {
		return err
	}
	out, err := p.patient(limit, "warrant", "draft", p.path(name+".json"), "--case", name, "--json")
	if err != nil {
		return err
	}
	var lodged struct{ Warrant string }
	if err := json.Unmarshal([]byte(out), &lodged); err != nil {
		return err
	}
	for _, who := range []string{"judge-1", "commissioner-1"} {
		if _, err := p.patient(limit, "warrant", "approve", lodged.Warrant, "--yes", "--deployment", p.path("deployment.json"), "--key", p.path("keys", who+".key")); err != nil {
			return err
		}
	}
	if out, err = p.patient(limit, "warrant", "publish", name, "--json"); err != nil {
		return err
	}
	var logged struct{ Index uint64 }
	if err := json.Unmarshal([]byte(out), &logged); err != nil {
		return err
	}
	p.published[name] = logged.Index
	p.cases = append(p.cases, name)
	if _, err := p.patient(limit, "open", name); err != nil {
		return err
	}
	p.opened = append(p.opened, name)
	return nil
}

// finish opens one more case from the beginning, with everything running.
func (p *prosecution) finish() {
	p.t.Helper()
	if err := p.prosecute("case-last"); err != nil {
		p.t.Error(err)
	}
}

// entries reads the ledger from the beginning.
func (w *world) entries() (list []*ledger.Entry) {
	w.t.Helper()
	f, err := follower.New(follower.Config{URL: w.Deployment.Ledger, Policy: w.policy, MaxAge: time.Minute})
	must(w.t, err)
	c, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, err = f.Update(c, 0, func(_ uint64, b []byte, _ time.Time) error {
		e, err := ledger.ParseEntry(b)
		list = append(list, e)
		return err
	})
	must(w.t, err)
	return list
}

// checkLedger demands that all acknowledged entries stand on the ledger, each
// custodian at most one intent for a request, an intent for every release, and
// that audit and verify hold.
func (w *world) checkLedger(law *prosecution) {
	w.t.Helper()
	entries := w.entries()
	for name, index := range law.published {
		if index >= uint64(len(entries)) || entries[index].Warrant == nil {
			w.t.Errorf("%s was acknowledged at %d, and is not there", name, index)
		}
	}
	intents := map[string]int{}
	for _, e := range entries {
		if r := e.Release; r != nil {
			intents[fmt.Sprintf("%d %s/%s", r.RequestIndex, r.Office, r.Custodian)]++
		}
	}
	for what, n := range intents {
		if n > 1 {
			w.t.Errorf("%d intents of request %s", n, what)
		}
	}
	for _, name := range law.opened {
		w.checkReleases(name, law.published[name], entries)
	}
	w.writ("audit", w.Deployment.Ledger, "--policy", w.path("policy.txt"))
	w.writ("audit", w.path("notary", "log"), "--policy", w.path("policy.txt"))
}

// checkReleases demands a logged intent of each release in a case's bundle, under the
// warrant that was acknowledged.
func (w *world) checkReleases(name string, published uint64, entries []*ledger.Entry) {
	w.t.Helper()
	out := w.writ("bundle", "read", w.path("agency", "cases", name+".writ"), "--deployment", w.path("deployment.json"),
		"--key", w.path("keys", "inspector-1.key"), "--json")
	var report struct {
		Warrant struct {
			Index        uint64
			RequestIndex uint64 `json:"request_index"`
		}
		Releases []struct {
			Custodian, Office string
			Index             uint64
		}
	}
	must(w.t, json.Unmarshal([]byte(out), &report))
	if len(report.Releases) < 4 || report.Warrant.Index != published {
		w.t.Errorf("%s: %d releases, under entry %d and not %d", name, len(report.Releases), report.Warrant.Index, published)
	}
	for _, r := range report.Releases {
		if r.Index >= uint64(len(entries)) || entries[r.Index].Release == nil || entries[r.Index].Release.Custodian != r.Custodian ||
			entries[r.Index].Release.RequestIndex != report.Warrant.RequestIndex {
			w.t.Errorf("%s: the release of %s/%s is not on the ledger at %d", name, r.Office, r.Custodian, r.Index)
		}
	}
}
