package custodian_test

import (
	"crypto/hpke"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"writ/capsule"
	"writ/charter"
	"writ/custodian"
	"writ/internal/testlaw"
	"writ/ledger"
	"writ/unseal"
)

// clock is one that a test can set ahead.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// set makes it some time after a Unix time.
func (c *clock) set(at uint64, after time.Duration) {
	c.ahead.Store(int64(time.Until(time.Unix(int64(at), 0).Add(after))))
}

// hourly is a world in which keys live for an hour and are destroyed two hours later.
func hourly(t *testing.T) *testlaw.World {
	return testlaw.New(t, func(c *charter.Charter) {
		c.Limits.KeyPeriod, c.Limits.MaxEpochAge, c.Limits.Horizon = 3600, 3600, 7200
	}, testlaw.Small...)
}

// on returns how a custodian is opened by a clock.
func on(c *clock, config custodian.Config) custodian.Config {
	config.Now, config.MaxAge = c.now, 24*time.Hour
	return config
}

// open tries to open capsules with everything that lies in custodians' directories:
// each private key on each sealed share. It returns how many open.
func openWith(t *testing.T, w *testlaw.World, capsules []*capsule.Capsule, dirs ...string) (opened int) {
	t.Helper()
	access, err := w.Charter.Access(capsules[0].Label().Period, nil)
	if err != nil {
		t.Fatal(err)
	}
	combiner, err := unseal.NewCombiner(access)
	if err != nil {
		t.Fatal(err)
	}
	var keys []hpke.PrivateKey
	for _, dir := range dirs {
		for _, raw := range custodian.RawKeys(t, dir, []byte(testlaw.Passphrase)) {
			if k, err := hpke.MLKEM768X25519().NewPrivateKey(raw); err == nil {
				keys = append(keys, k)
			}
		}
	}
	for _, c := range capsules {
		var shares []unseal.Share
		for i, leaf := range access.Leaves() {
			ctx, s := capsule.Context(c.Label(), access), c.Shares()[i]
			for _, k := range keys {
				r, err := hpke.NewRecipient(s.Enc, k, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), ctx[:])
				if err != nil {
					continue
				}
				if secret, err := r.Open(s.Commitment[:], s.Ciphertext); err == nil {
					shares = append(shares, unseal.Share{Capsule: c.Hash(), Custodian: leaf.Custodian, Path: leaf.Path, Secret: [32]byte(secret)})
				}
			}
		}
		if _, _, _, err := combiner.Combine(c.Bytes(), shares); err == nil {
			opened++
		}
	}
	return opened
}

// R8, R9: when the horizon comes every custodian destroys its key by itself and states it.
// All their directories together, with every passphrase, open everything of the period
// before, and nothing after.
func TestHorizon(t *testing.T) {
	t.Parallel()
	w, time1 := hourly(t), &clock{}
	q := prepare(w, 2).log()
	period := q.capsules[0].Label().Period
	var dirs []string
	for _, c := range w.Custodians {
		dirs = append(dirs, c.Dir)
		w.StartCustodian(on(time1, w.CustodianConfig(c)))
	}
	if _, client := w.StartCustodian(on(&clock{}, w.CustodianConfig(copyOf(t, w.Custodians[0])))); client != nil {
		if out, err := send(t, w.Custodians[0], client, q.request(t)); err != nil || out.GetGranted() == nil {
			t.Fatalf("before the horizon: %v, %v", out, err)
		}
	}
	if n := openWith(t, w, q.capsules, dirs...); n != 2 {
		t.Fatalf("before the horizon all custodians together open %d of 2", n)
	}
	time1.set(w.Charter.DestroyBy(period), -10*time.Second)
	time.Sleep(time.Second)
	if n := openWith(t, w, q.capsules, dirs...); n != 2 {
		t.Errorf("ten seconds before the horizon they open %d of 2", n)
	}
	time1.set(w.Charter.DestroyBy(period), 0)
	awaitDestruction(t, w, period, w.Custodians...)
	if n := openWith(t, w, q.capsules, dirs...); n != 0 {
		t.Errorf("after the horizon all custodians together open %d", n)
	}
	book, entries := w.Book()
	late := time1.now().Add(time.Duration(w.Charter.Limits.Freshness+1) * time.Second)
	if n := count(entries, func(e *ledger.Entry) bool { return e.Destruction != nil && e.Destruction.Period == period }); n != 3 || len(book.Findings()) > 0 || len(book.Overdue(late)) > 0 {
		t.Errorf("%d destructions, findings %v, overdue %v", n, book.Findings(), book.Overdue(late))
	}
}

// copyOf copies a custodian's directory: what an intruder took away before the horizon.
func copyOf(t *testing.T, c testlaw.Custodian) testlaw.Custodian {
	t.Helper()
	dir := t.TempDir()
	err := filepath.WalkDir(c.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "keys.age") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, filepath.Base(path)), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Dir = dir
	return c
}

// awaitDestruction waits until the ledger has destructions of a period's key.
func awaitDestruction(t *testing.T, w *testlaw.World, period uint32, list ...testlaw.Custodian) {
	t.Helper()
	for _, c := range list {
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			if book, _ := w.Book(); book.Destroyed(c.Charter, c.Office, c.Custodian, period) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: period %d is not destroyed", c.Who(), period)
			}
		}
	}
}

// A notary that is silent, or shows nothing new, keeps no key alive. The statement
// follows when the ledger is back.
func TestHorizonWithoutALedger(t *testing.T) {
	t.Parallel()
	w, hands := hourly(t), &clock{}
	c := w.Custodians[0]
	period := w.Charter.Period(time.Now())
	s, _ := w.StartCustodian(on(hands, w.CustodianConfig(c)))
	waitForKey(t, w, c, period+1)
	w.Gate.Shut(true)
	hands.set(w.Charter.DestroyBy(period), time.Second)
	for deadline := time.Now().Add(10 * time.Second); s.Holds(period); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the key outlives its horizon while the ledger is away")
		}
	}
	w.Gate.Shut(false)
	awaitDestruction(t, w, period, c)
}

// A notary that takes entries and never shows them, so that who logs something waits for
// ever, keeps no key alive either.
func TestHorizonWhileTheLedgerIsWaitedFor(t *testing.T) {
	t.Parallel()
	w, hands := hourly(t), &clock{}
	c := w.Custodians[0]
	period := w.Charter.Period(time.Now())
	w.Gate.Freeze(true)
	s, _ := w.StartCustodian(on(hands, w.CustodianConfig(c)))
	for deadline := time.Now().Add(10 * time.Second); !s.Holds(period + 1); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it makes no key for the next period")
		}
	}
	hands.set(w.Charter.DestroyBy(period), time.Second)
	for deadline := time.Now().Add(5 * time.Second); s.Holds(period); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the key outlives its horizon while the ledger is waited for")
		}
	}
	w.Gate.Freeze(false)
	awaitDestruction(t, w, period, c)
}

func waitForKey(t *testing.T, w *testlaw.World, c testlaw.Custodian, period uint32) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if book, _ := w.Book(); hasKey(book, c, period) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s stated no key for period %d", c.Who(), period)
		}
	}
}

func hasKey(b *ledger.Book, c testlaw.Custodian, period uint32) bool {
	_, ok := b.Key(c.Charter, c.Office, c.Custodian, period)
	return ok
}

// A custodian that stood still over the horizon, or fell at any step of a destruction,
// has no key when it first answers, and logs what it owes.
func TestHorizonAfterAFall(t *testing.T) {
	t.Parallel()
	steps := map[string]func(t *testing.T, s *custodian.Server, period uint32){
		"stood still": func(*testing.T, *custodian.Server, uint32) {},
		"written down": func(t *testing.T, s *custodian.Server, period uint32) {
			custodian.BeginDestruction(t, s, period)
		},
		"erased": func(t *testing.T, s *custodian.Server, period uint32) {
			custodian.BeginDestruction(t, s, period)
			custodian.Erase(t, s, period)
		},
	}
	w := hourly(t)
	period := w.Charter.Period(time.Now())
	next := 0
	for name, fall := range steps {
		c, hands := w.Custodians[next], &clock{}
		next++
		s, end := w.RunCustodian(on(hands, w.CustodianConfig(c)))
		waitForKey(t, w, c, period+1)
		fall(t, s, period)
		end()
		hands.set(w.Charter.DestroyBy(period), time.Minute)
		s, err := custodian.Open(ctx, on(hands, w.CustodianConfig(c)))
		if err != nil {
			t.Fatal(err)
		}
		if s.Holds(period) {
			t.Errorf("%s: it has the key when it opens", name)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		_, end = w.RunCustodian(on(hands, w.CustodianConfig(c)))
		awaitDestruction(t, w, period, c)
		end()
	}
}

// A custodian whose key another one stated first as its own, so that it can't count, makes
// another key: else one custodian could close sealing for all.
func TestStolenStatement(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	victim, thief := w.Custodians[0], w.Custodians[1]
	period := w.Charter.Period(time.Now()) + 1
	public := custodian.MakeKey(t, victim.Dir, []byte(testlaw.Passphrase), period)
	k := &charter.KeyStatement{CharterName: thief.Charter, Office: thief.Office, Custodian: thief.Names.Custodian, Period: period,
		KEM: charter.XWing, PublicKey: public}
	custodian.SignStatement(t, thief.Dir, []byte(testlaw.Passphrase), k)
	w.Add(ledger.CustodianKeyEntry(k))
	w.StartCustodian(w.CustodianConfig(victim))
	waitForKey(t, w, victim, period)
	book, _ := w.Book()
	if mine, _ := book.Key(victim.Charter, victim.Office, victim.Names.Custodian, period); string(mine.PublicKey) == string(public) {
		t.Error("the victim's statement of the stolen key counts")
	}
}
