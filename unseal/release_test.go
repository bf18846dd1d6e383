package unseal

import (
	"bytes"
	"crypto/hpke"
	"errors"
	"testing"
	"time"

	"writ/charter"
	"writ/internal/wire"
	"writ/ledger"
)

// opened is a world in which every custodian released one compartment.
func opened(t testing.TB) (w *world, c *compartment, shares []Share) {
	w = newWorld(t)
	c = w.seal("alice", "c", 1)
	all := w.shares(w.file(w.order(), parcel(c), edits{}))
	return w, c, all[c.capsule.Hash()]
}

func TestOpening(t *testing.T) {
	w := newWorld(t)
	one, two := w.seal("alice", "c", 1), w.seal("alice", "c", 2)
	q, err := ParseRequest(w.file(w.order(), parcel(one, two), edits{}).Encode())
	if err != nil {
		t.Fatal(err)
	}
	all := w.shares(q)
	combiner := must(NewCombiner(w.access))
	for _, c := range []*compartment{one, two} {
		s, d, bad, err := combiner.Combine(c.capsule.Bytes(), all[c.capsule.Hash()])
		if err != nil || bad != nil || !bytes.Equal(s, c.s) || !bytes.Equal(d, c.d) {
			t.Errorf("epoch %d: %x, %x, %v, %v", c.label.Epoch, s, d, bad, err)
		}
	}
	if len(all) != 2 || len(w.book.Findings()) != 0 {
		t.Errorf("%d compartments released, findings %v", len(all), w.book.Findings())
	}
}

// TestReleaseNeedsItsIntent: there is no release without the logged intent of
// exactly this authorisation, fresh and in time, with one custodian's keys.
func TestReleaseNeedsItsIntent(t *testing.T) {
	w := newWorld(t)
	q := w.file(w.order(), parcel(w.seal("alice", "c", 1)), edits{})
	other := w.file(w.order(), parcel(w.seal("alice", "c", 2)), edits{})
	const me = "judicial-1"
	f := w.facts("judicial", me)
	a, _ := Authorize(q, f)
	b, _ := Authorize(other, f)
	theirs, _ := Authorize(q, w.facts("judicial", "judicial-2"))
	change := func(change func(*ledger.Release)) *ledger.Included {
		intent := a.Intent()
		change(intent)
		return w.intend(intent, me)
	}
	w.now = w.now.Add(time.Minute)
	good := w.intend(a.Intent(), me)
	early := newWorld(t)
	early.publish([]byte("filler"))
	earlyIntent := a.Intent()
	earlyIntent.Sign(w.signing(me))
	before := early.include(earlyIntent.Entry())
	unwitnessed := must(must(ledger.ParsePolicy(w.log.weakPolicy())).Include(good.Entry().Bytes(),
		w.log.proof(good.Index(), w.log.checkpoint(w.now, 1)), w.now, 0))
	for _, r := range []struct {
		name   string
		a      *Authorization
		intent *ledger.Included
		keys   *Keyring
		signer string
		now    time.Time
	}{
		{"no authorisation", nil, good, f.Keys, me, w.now},
		{"zero authorisation", new(Authorization), good, f.Keys, me, w.now},
		{"no intent", a, nil, f.Keys, me, w.now},
		{"intent of another request", a, w.intend(b.Intent(), me), f.Keys, me, w.now},
		{"intent of another custodian", a, w.intend(theirs.Intent(), "judicial-2"), f.Keys, me, w.now},
		{"another entry", a, w.include(q.RequestEntry), f.Keys, me, w.now},
		{"intent of fewer", a, change(func(r *ledger.Release) { r.Count = 0 }), f.Keys, me, w.now},
		{"intent of others", a, change(func(r *ledger.Release) { r.Root[0] ^= 1 }), f.Keys, me, w.now},
		{"intent under another index", a, change(func(r *ledger.Release) { r.RequestIndex-- }), f.Keys, me, w.now},
		{"intent signed by another", a, w.intend(a.Intent(), "judicial-2"), f.Keys, me, w.now},
		{"intent before its request", a, before, f.Keys, me, w.now},
		{"intent under a weaker policy", a, unwitnessed, f.Keys, me, w.now},
		{"stale proof", a, good, f.Keys, me, w.now.Add(601 * time.Second)},
		{"clock behind the proof", a, good, f.Keys, me, w.now.Add(-61 * time.Second)},
		{"R12 another custodian's keys", a, good, w.keys("judicial", "judicial-2"), me, w.now},
		{"R12 another custodian's keys under my name", a, good, &Keyring{"judicial", me, w.keys("judicial", "judicial-2").keys}, me, w.now},
		{"R12 my keys under another custodian's name", a, good, &Keyring{"judicial", "judicial-2", f.Keys.keys}, me, w.now},
		{"R12 my keys under another office", a, good, &Keyring{"oversight", me, f.Keys.keys}, me, w.now},
		{"no keys", a, good, NewKeyring("judicial", me), me, w.now},
		{"another signing key", a, good, f.Keys, "judicial-2", w.now},
	} {
		if rel, err := NewRelease(r.a, r.intent, r.keys, w.signing(r.signer), r.now); rel != nil || err == nil {
			t.Errorf("%s: released", r.name)
		}
	}
	if _, err := NewRelease(a, good, f.Keys, w.signing(me), w.now); err != nil {
		t.Errorf("good intent: %v", err)
	}
}

// TestReleaseNeedsLife: an authorisation does not outlive its warrant (R19).
func TestReleaseNeedsLife(t *testing.T) {
	w := newWorld(t)
	o := w.order()
	o.NotAfter = o.NotBefore + 60
	q := w.file(o, parcel(w.seal("alice", "c", 1)), edits{})
	f := w.facts("judicial", "judicial-1")
	a, _ := Authorize(q, f)
	w.now = w.now.Add(59 * time.Second)
	intent := w.intend(a.Intent(), "judicial-1")
	for after, ok := range map[time.Duration]bool{0: true, time.Second: false, -60 * time.Second: false} {
		_, err := NewRelease(a, intent, f.Keys, w.signing("judicial-1"), w.now.Add(after))
		if (err == nil) != ok {
			t.Errorf("%v: %v", after, err)
		}
	}
}

func TestOpenRelease(t *testing.T) {
	w := newWorld(t)
	q := w.file(w.order(), parcel(w.seal("alice", "c", 1)), edits{})
	r := w.release(q, "judicial", "judicial-1")
	by := w.Charter.Custodian("judicial", "judicial-1").Key
	stored := must(ParseReaderKey(must(w.reader.Bytes())))
	if again, err := ParseRelease(r.Encode()); err != nil || !bytes.Equal(again.Encode(), r.Encode()) {
		t.Fatalf("encoding: %v", err)
	} else if shares, err := OpenRelease(again, stored, by); err != nil || len(shares) != 1 {
		t.Fatalf("%v, %v", shares, err)
	}
	sign := func(change func(*Release)) *Release {
		bad := *r
		bad.Sealed = bytes.Clone(r.Sealed)
		change(&bad)
		bad.sign(w.signing("judicial-1"))
		return &bad
	}
	for name, c := range map[string]struct {
		r   *Release
		k   *ReaderKey
		key charter.CustodianKey
	}{
		"another reader":             {r, must(NewReaderKey()), by},
		"another custodian's key":    {r, stored, w.Charter.Custodian("judicial", "judicial-2").Key},
		"moved to another request":   {sign(func(r *Release) { r.Request[0] ^= 1 }), stored, by},
		"moved to another custodian": {sign(func(r *Release) { r.Custodian = "judicial-2" }), stored, by},
		"moved to another intent":    {sign(func(r *Release) { r.Intent++ }), stored, by},
		"cut":                        {sign(func(r *Release) { r.Sealed = r.Sealed[:9] }), stored, by},
		"bit flipped":                {sign(func(r *Release) { r.Sealed[1200] ^= 1 }), stored, by},
		"shares cut":                 {sign(func(r *Release) { w.reseal(r, []byte("junk")) }), stored, by},
		"too many shares": {sign(func(r *Release) {
			w.reseal(r, make([]byte, 65*(MaxCompartments+1)))
		}), stored, by},
	} {
		if shares, err := OpenRelease(c.r, c.k, c.key); err == nil || shares != nil {
			t.Errorf("%s: opened", name)
		}
	}
}

// TestAllOrNothing: a compartment whose share does not open stops the release
// of all, even after the authorisation.
func TestAllOrNothing(t *testing.T) {
	w := newWorld(t)
	q := w.file(w.order(), parcel(w.seal("alice", "c", 1), w.seal("alice", "c", 2)), edits{})
	f := w.facts("judicial", "judicial-1")
	a, _ := Authorize(q, f)
	a.compared[1].share.Ciphertext[0] ^= 1
	if r, err := NewRelease(a, w.intend(a.Intent(), "judicial-1"), f.Keys, w.signing("judicial-1"), w.now); r != nil || err == nil {
		t.Error("released one of two")
	}
}

func TestKeys(t *testing.T) {
	for _, kem := range []charter.KEM{charter.XWing, charter.MLKEM768P256} {
		k := must(NewCustodianKey(kem))
		again := must(ParseCustodianKey(kem, must(k.Bytes())))
		if !bytes.Equal(again.Public(), k.Public()) || again.KEM() != kem || len(k.Public()) != kem.PublicKeySize() {
			t.Errorf("KEM %#x: stored key differs", kem)
		}
	}
	for _, kem := range []charter.KEM{0, 0x0020, 0x0041} {
		if k, err := NewCustodianKey(kem); k != nil || !errors.Is(err, ErrUnsupported) {
			t.Errorf("KEM %#x: %v", kem, err)
		}
	}
	if k, err := TokenKey(must(hpke.MLKEM768().GenerateKey())); k != nil || !errors.Is(err, ErrUnsupported) {
		t.Errorf("token with a KEM no charter allows: %v", err)
	}
	if k, err := ParseCustodianKey(charter.XWing, make([]byte, 31)); k != nil || err == nil {
		t.Error("short custodian key")
	}
	if k, err := ParseReaderKey(make([]byte, 31)); k != nil || err == nil {
		t.Error("short reader key")
	}
}

func TestRequestBounds(t *testing.T) {
	for name, q := range map[string]*Request{
		"none":     {},
		"too many": {Compartments: make([]Compartment, MaxCompartments+1)},
	} {
		if got, err := ParseRequest(q.Encode()); got != nil || err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
	good := (&Request{Compartments: make([]Compartment, MaxCompartments)}).Encode()
	if _, err := ParseRequest(good); err != nil {
		t.Error(err)
	}
	version := bytes.Clone(good)
	version[1] = 2
	if got, err := ParseRequest(version); got != nil || !errors.Is(err, ErrUnsupported) {
		t.Errorf("version 2: %v", err)
	}
	if got, err := ParseRequest(make([]byte, MaxRequest+1)); got != nil || err == nil {
		t.Error("huge")
	}
}

// TestReleaseEveryByte: no byte of a release can change unnoticed.
func TestReleaseEveryByte(t *testing.T) {
	w := newWorld(t)
	r := w.release(w.file(w.order(), parcel(w.seal("alice", "c", 1)), edits{}), "judicial", "judicial-1")
	by, good := w.Charter.Custodian("judicial", "judicial-1").Key, r.Encode()
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x20
		if got, err := ParseRelease(bad); err == nil && got.Verify(by) {
			t.Fatalf("byte %d changed and the release verifies", i)
		}
	}
}

func TestParseReleaseRefuses(t *testing.T) {
	good := (&Release{Office: "judicial", Custodian: "judicial-1", Sealed: []byte{1}}).Encode()
	if _, err := ParseRelease(good); err != nil {
		t.Fatal(err)
	}
	version := bytes.Clone(good)
	version[1] = 2
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"trailing": {append(bytes.Clone(good), 0), wire.ErrMalformed},
		"cut":      {good[:len(good)-1], wire.ErrMalformed},
		"empty":    {nil, wire.ErrMalformed},
		"huge":     {append(bytes.Clone(good), make([]byte, maxRelease)...), wire.ErrMalformed},
		"version":  {version, ErrUnsupported},
	} {
		if r, err := ParseRelease(c.b); r != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
}

func FuzzParseRelease(f *testing.F) {
	w := newWorld(f)
	f.Add(w.release(w.file(w.order(), parcel(w.seal("alice", "c", 1)), edits{}), "judicial", "judicial-1").Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := ParseRelease(b); err == nil && !bytes.Equal(got.Encode(), b) {
			t.Fatal("encodes otherwise")
		}
	})
}
