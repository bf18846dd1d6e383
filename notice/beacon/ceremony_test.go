package beacon

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"pgregory.net/rapid"

	"writ/internal/wire"
)

// operators returns n operators, named PREFIX-00, PREFIX-01, ..., with keys that
// derive from their names.
func operators(t testing.TB, prefix string, n int) []*Operator {
	t.Helper()
	var all []*Operator
	for i := range n {
		seed := func(what string) []byte {
			h := sha256.Sum256(fmt.Appendf(nil, "%s-%02d %s", prefix, i, what))
			return h[:]
		}
		mail, err := ParseMailOpener(seed("mail"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &Operator{OperatorSigner(ed25519.NewKeyFromSeed(seed("signer"))), mail, [32]byte(seed("seed"))})
	}
	return all
}

func ceremonyOf(prefix string, threshold uint8, all []*Operator) *Ceremony {
	c := &Ceremony{Nonce: sha256.Sum256([]byte(prefix)), Genesis: 1000, Period: 10, Threshold: threshold}
	for i, o := range all {
		c.Members = append(c.Members, Member{fmt.Sprintf("%s-%02d", prefix, i), o.Signer.Public(), o.Mail.Public()})
	}
	return c
}

func newBoard(t testing.TB, c *Ceremony, previous *Group) *Board {
	t.Helper()
	b, err := NewBoard(c, previous)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// step makes one operator's document of a phase; nil for none.
type step func(b *Board, o *Operator) ([]byte, error)

func dealNew(b *Board, o *Operator) ([]byte, error)   { return o.Deal(b, nil) }
func respond(b *Board, o *Operator) ([]byte, error)   { return o.Respond(b) }
func answerNew(b *Board, o *Operator) ([]byte, error) { return o.Answer(b, nil) }

// each posts one document of each operator.
func each(t testing.TB, b *Board, who []*Operator, s step) {
	t.Helper()
	for _, o := range who {
		doc, err := s(b, o)
		if err != nil {
			t.Fatal(err)
		}
		if doc != nil {
			if err := b.Post(doc); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func closePhase(t testing.TB, b *Board, want Phase) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if b.Phase() != want {
		t.Fatalf("phase %d, want %d", b.Phase(), want)
	}
}

// run is a ceremony in which everybody is honest.
func run(t testing.TB, prefix string, threshold uint8, n int) (*Board, []*Operator) {
	t.Helper()
	all := operators(t, prefix, n)
	b := newBoard(t, ceremonyOf(prefix, threshold, all), nil)
	each(t, b, all, dealNew)
	closePhase(t, b, Responding)
	each(t, b, all, respond)
	closePhase(t, b, Done)
	return b, all
}

func groupOf(t testing.TB, b *Board) *Group {
	t.Helper()
	g, err := b.Group()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func sharesOf(t testing.TB, b *Board, all []*Operator) []*Share {
	t.Helper()
	var shares []*Share
	for _, o := range all {
		s, err := o.Share(b)
		if err != nil {
			t.Fatal(err)
		}
		shares = append(shares, s)
	}
	return shares
}

func partialsOf(t testing.TB, g *Group, shares []*Share, round uint64) []*Partial {
	t.Helper()
	at, err := g.Beacon().Time(round)
	if err != nil {
		t.Fatal(err)
	}
	var partials []*Partial
	for _, s := range shares {
		doc, err := s.Sign(round, at)
		if err != nil {
			t.Fatal(err)
		}
		p, err := g.VerifyPartial(round, doc)
		if err != nil {
			t.Fatal(err)
		}
		if p.Seat() != s.Seat() {
			t.Fatalf("partial signature of seat %d by seat %d", p.Seat(), s.Seat())
		}
		partials = append(partials, p)
	}
	return partials
}

// pick returns the elements whose bits are set.
func pick[T any](list []T, bits int) []T {
	var out []T
	for i := range list {
		if bits>>i&1 == 1 {
			out = append(out, list[i])
		}
	}
	return out
}

// All sets of three or more of five make the same signature; it opens a timelock.
// No set of fewer makes one.
func TestCeremony(t *testing.T) {
	b, all := run(t, "op", 3, 5)
	if len(b.Faults()) != 0 {
		t.Errorf("faults %v", b.Faults())
	}
	g := groupOf(t, b)
	shares := sharesOf(t, b, all)
	partials := partialsOf(t, g, shares, 7)
	key := g.Beacon().Key
	salt := [32]byte{9}
	lock, err := Lock(key, 7, salt)
	if err != nil {
		t.Fatal(err)
	}
	var first *Signature
	for bits := range 1 << 5 {
		set := pick(partials, bits)
		sig, err := g.Combine(set)
		if len(set) < 3 {
			if !errors.Is(err, ErrRefused) || sig != nil {
				t.Errorf("set %05b signs: %v", bits, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("set %05b: %v", bits, err)
		}
		if first == nil {
			first = sig
		}
		if !bytes.Equal(sig.Bytes(), first.Bytes()) {
			t.Errorf("set %05b makes another signature", bits)
		}
		if _, err := key.Verify(7, sig.Bytes()); err != nil {
			t.Error(err)
		}
	}
	if got, err := Unlock(lock, first); err != nil || got != salt {
		t.Errorf("unlocks to %x, %v", got, err)
	}
}

// Colluders, one fewer than the threshold, try what they can.
func TestColludersCannotSign(t *testing.T) {
	b, all := run(t, "op", 3, 5)
	g := groupOf(t, b)
	shares := sharesOf(t, b, all)[:2]
	partials := partialsOf(t, g, shares, 7)
	if _, err := g.Combine(append(partials, partials[0])); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "twice") {
		t.Errorf("one signs twice: %v", err)
	}
	forged, err := shares[0].Sign(7, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	for seat := 1; seat < 5; seat++ {
		forged[1] = byte(seat)
		if _, err := g.VerifyPartial(7, forged); !errors.Is(err, ErrInvalid) {
			t.Errorf("signs as seat %d: %v", seat, err)
		}
	}
	// They interpolate as if the threshold were theirs.
	c, err := lagrange([]int{0, 1})
	if err != nil {
		t.Fatal(err)
	}
	var guess, term fr.Element
	for i, s := range shares {
		guess.Add(&guess, term.Mul(&c[i], &s.value))
	}
	if _, err := g.Beacon().Key.Verify(7, signature(guess, 7)); !errors.Is(err, ErrInvalid) {
		t.Errorf("two shares interpolate to the key: %v", err)
	}
	// Their shares fit every key: for any, one polynomial passes through both.
	rapid.Check(t, func(rt *rapid.T) {
		var key fr.Element
		key.SetUint64(rapid.Uint64().Draw(rt, "key"))
		f := through(key, shares)
		for _, s := range shares {
			if got := valueAt(f, s.seat); !got.Equal(&s.value) {
				rt.Fatal("no polynomial passes through the shares and this key")
			}
		}
	})
}

// through returns the quadratic f with f(0) = key and two shares' values.
func through(key fr.Element, s []*Share) []fr.Element {
	x, y := abscissa(s[0].seat), abscissa(s[1].seat)
	var p, q, a, d fr.Element
	p.Div(p.Sub(&s[0].value, &key), &x) // b + a x
	q.Div(q.Sub(&s[1].value, &key), &y) // b + a y
	a.Div(a.Sub(&p, &q), d.Sub(&x, &y))
	p.Sub(&p, d.Mul(&a, &x))
	return []fr.Element{key, p, a}
}

func TestPartialRefuses(t *testing.T) {
	b, all := run(t, "op", 3, 4)
	g := groupOf(t, b)
	share := sharesOf(t, b, all)[1]
	good, err := share.Sign(7, 1060)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := share.Sign(7, 1059); !errors.Is(err, ErrRefused) {
		t.Errorf("signs a round that has not come: %v", err)
	}
	if _, err := share.Sign(0, 1059); !errors.Is(err, ErrInvalid) {
		t.Errorf("signs round 0: %v", err)
	}
	zero := identity(0)
	zero = secretG1(&zero, &share.value)
	zeroth := zero.Bytes()
	seat := func(s byte) []byte { return append([]byte{0, s}, good[2:]...) }
	for name, c := range map[string]struct {
		round uint64
		b     []byte
		want  error
	}{
		"another round":       {8, good, ErrInvalid},
		"round 0":             {0, append([]byte{0, 1}, zeroth[:]...), ErrInvalid},
		"another seat":        {7, seat(2), ErrInvalid},
		"no such seat":        {7, seat(4), ErrInvalid},
		"not in the subgroup": {7, append([]byte{0, 1}, outsideG1(t)...), wire.ErrMalformed},
		"short":               {7, good[:49], wire.ErrMalformed},
		"long":                {7, append(bytes.Clone(good), 0), wire.ErrMalformed},
	} {
		if p, err := g.VerifyPartial(c.round, c.b); !errors.Is(err, c.want) || p != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	seven, eight := partialsOf(t, g, sharesOf(t, b, all), 7), partialsOf(t, g, sharesOf(t, b, all), 8)
	if _, err := g.Combine([]*Partial{seven[0], seven[1], eight[2]}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "rounds") {
		t.Errorf("combines rounds: %v", err)
	}
	b2, all2 := run(t, "other", 3, 4)
	other := partialsOf(t, groupOf(t, b2), sharesOf(t, b2, all2), 7)
	if _, err := g.Combine([]*Partial{seven[0], seven[1], other[2]}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "groups") {
		t.Errorf("combines groups: %v", err)
	}
}

func TestShareStorage(t *testing.T) {
	b, all := run(t, "op", 2, 3)
	g := groupOf(t, b)
	share := sharesOf(t, b, all)[1]
	enc := share.Encode()
	got, err := ParseShare(g, enc)
	if err != nil || got.seat != 1 || !bytes.Equal(got.Encode(), enc) || len(enc) != shareSize {
		t.Fatalf("%v, %v", got, err)
	}
	b2, _ := run(t, "other", 2, 3)
	if _, err := ParseShare(groupOf(t, b2), enc); !errors.Is(err, ErrInvalid) {
		t.Errorf("share of another group: %v", err)
	}
	for name, c := range map[string]struct {
		at   int
		want error
	}{
		"format": {1, ErrUnsupported}, "group": {2, ErrInvalid}, "seat": {35, ErrInvalid}, "no such seat": {34, ErrInvalid},
		"value": {67, ErrInvalid},
	} {
		changed := bytes.Clone(enc)
		changed[c.at] ^= 1
		if _, err := ParseShare(g, changed); !errors.Is(err, c.want) {
			t.Errorf("%s changed: %v", name, err)
		}
	}
	over := append(bytes.Clone(enc[:36]), bytes.Repeat([]byte{0xff}, 32)...)
	for _, bad := range [][]byte{over, enc[:67], append(bytes.Clone(enc), 0)} {
		if _, err := ParseShare(g, bad); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
	share.Erase()
	if !share.value.IsZero() {
		t.Error("an erased share is still there")
	}
}

// spoil changes the sealed share that a deal has for one member.
func spoil(b *Board, o *Operator, members ...int) []byte {
	seat := seatOf(b.dealers, o.Signer.Public())
	doc, err := o.Deal(b, nil)
	if err != nil {
		panic(err)
	}
	d, err := parseDocument(doc)
	if err != nil {
		panic(err)
	}
	x, err := parseDeal(d.body, b.ceremony)
	if err != nil {
		panic(err)
	}
	for i, to := range members {
		if i == 0 { // opens, to a wrong value
			var one fr.Element
			one.SetOne()
			x.sealed[to], err = sealShare(b.hash, seat, to, b.ceremony.Members[to].Mail, one)
			if err != nil {
				panic(err)
			}
			continue
		}
		x.sealed[to] = bytes.Clone(x.sealed[to]) // doesn't open
		x.sealed[to][0] ^= 1
	}
	return (&document{kind: kindDeal, ceremony: b.hash, seat: seat, body: x.body()}).sign(o.Signer)
}

// resign replaces a document's body.
func resign(doc []byte, o *Operator, change func(d *document)) []byte {
	d, err := parseDocument(doc)
	if err != nil {
		panic(err)
	}
	change(d)
	return d.sign(o.Signer)
}

// Operator 4 of 5 misbehaves, with threshold 3. It is named, it is excluded if
// its deal can't count, and the rest make a group that signs.
func TestMisbehaviour(t *testing.T) {
	const bad = 4
	infinity := make([]byte, PublicKeySize)
	infinity[0] = 0xc0
	withBody := func(change func([]byte) []byte) func(t *testing.T, b *Board, o *Operator) [][]byte {
		return func(t *testing.T, b *Board, o *Operator) [][]byte {
			doc, err := o.Deal(b, nil)
			if err != nil {
				t.Fatal(err)
			}
			return [][]byte{resign(doc, o, func(d *document) { d.body = change(bytes.Clone(d.body)) })}
		}
	}
	honest := func(s step) func(t *testing.T, b *Board, o *Operator) [][]byte {
		return func(t *testing.T, b *Board, o *Operator) [][]byte {
			doc, err := s(b, o)
			if err != nil {
				t.Fatal(err)
			}
			if doc == nil {
				return nil
			}
			return [][]byte{doc}
		}
	}
	silent := func(*testing.T, *Board, *Operator) [][]byte { return nil }
	spoilt := func(members ...int) func(t *testing.T, b *Board, o *Operator) [][]byte {
		return func(t *testing.T, b *Board, o *Operator) [][]byte { return [][]byte{spoil(b, o, members...)} }
	}
	responds := func(change func(b *Board, x *response)) func(t *testing.T, b *Board, o *Operator) [][]byte {
		return func(t *testing.T, b *Board, o *Operator) [][]byte {
			x := &response{view: b.view()}
			change(b, x)
			return [][]byte{(&document{kind: kindResponse, ceremony: b.hash, seat: bad, body: x.body()}).sign(o.Signer)}
		}
	}
	answers := func(change func(x *answer)) func(t *testing.T, b *Board, o *Operator) [][]byte {
		return func(t *testing.T, b *Board, o *Operator) [][]byte {
			doc, err := o.Answer(b, nil)
			if err != nil {
				t.Fatal(err)
			}
			return [][]byte{resign(doc, o, func(d *document) {
				x, err := parseAnswer(d.body)
				if err != nil {
					t.Fatal(err)
				}
				change(x)
				d.body = x.body()
			})}
		}
	}
	answerBody := func(change func(b []byte) []byte) func(t *testing.T, b *Board, o *Operator) [][]byte {
		return func(t *testing.T, b *Board, o *Operator) [][]byte {
			doc, err := o.Answer(b, nil)
			if err != nil {
				t.Fatal(err)
			}
			return [][]byte{resign(doc, o, func(d *document) { d.body = change(bytes.Clone(d.body)) })}
		}
	}
	type documents = func(t *testing.T, b *Board, o *Operator) [][]byte
	for name, c := range map[string]struct {
		deal, respond, answer documents
		reason                string // of the fault; empty if none
		excluded              bool
	}{
		"no deal": {silent, honest(respond), silent, "no deal", true},
		"two deals": {func(t *testing.T, b *Board, o *Operator) [][]byte {
			return append(honest(dealNew)(t, b, o), honest(dealNew)(t, b, o)...)
		}, honest(respond), silent, "a second deal", true},
		"a deal cut short":              {withBody(func(b []byte) []byte { return b[:len(b)-1] }), honest(respond), silent, "malformed", true},
		"a deal too long":               {withBody(func(b []byte) []byte { return append(b, 0) }), honest(respond), silent, "malformed", true},
		"commitment to zero":            {withBody(func(b []byte) []byte { copy(b[2:], infinity); return b }), honest(respond), silent, "identity", true},
		"commitment off G2":             {withBody(func(b []byte) []byte { copy(b[2+96:], outsideG2(t)); return b }), honest(respond), silent, "not a point", true},
		"a share wrong, silent":         {spoilt(0), honest(respond), silent, "no answer", true},
		"a share wrong, answers":        {spoilt(0), honest(respond), honest(answerNew), "", false},
		"a share sealed badly, answers": {spoilt(4, 0), honest(respond), honest(answerNew), "", false},
		"a share wrong, answers wrong": {spoilt(0), honest(respond), answers(func(x *answer) { x.shares[0].SetOne() }),
			"does not match the commitments", true},
		"two shares wrong, answers one": {spoilt(0, 1), honest(respond), answers(func(x *answer) {
			x.seats, x.shares = x.seats[:1], x.shares[:1]
		}), "not to those", true},
		"a share wrong, answers another too": {spoilt(0), honest(respond), answers(func(x *answer) {
			x.seats, x.shares = append(x.seats, 1), append(x.shares, x.shares[0])
		}), "not to those", true},
		"a share wrong, answer cut short": {spoilt(0), honest(respond), answerBody(func(b []byte) []byte {
			return b[:len(b)-1]
		}), "malformed", true},
		"a share wrong, answer too long": {spoilt(0), honest(respond), answerBody(func(b []byte) []byte {
			return append(b, 0)
		}), "malformed", true},
		"a share wrong, answer not below the order": {spoilt(0), honest(respond), answerBody(func(b []byte) []byte {
			return append(b[:2], bytes.Repeat([]byte{0xff}, scalarSize)...)
		}), "not below the order", true},
		"three shares wrong":         {spoilt(0, 1, 2), honest(respond), silent, "as many complaints", true},
		"no response":                {honest(dealNew), silent, silent, "no response", false},
		"response to other deals":    {honest(dealNew), responds(func(_ *Board, x *response) { x.view[0] ^= 1 }), silent, "other deals", false},
		"complaint about nobody":     {honest(dealNew), responds(func(_ *Board, x *response) { x.complaints = []int{5} }), silent, "does not count", false},
		"complaints in disorder":     {honest(dealNew), responds(func(_ *Board, x *response) { x.complaints = []int{1, 0} }), silent, "order", false},
		"false complaint":            {honest(dealNew), responds(func(_ *Board, x *response) { x.complaints = []int{0} }), silent, "", false},
		"false complaints about all": {honest(dealNew), responds(func(_ *Board, x *response) { x.complaints = []int{0, 1, 2, 3} }), silent, "", false},
		"two responses": {honest(dealNew), func(t *testing.T, b *Board, o *Operator) [][]byte {
			return append(honest(respond)(t, b, o), responds(func(_ *Board, x *response) { x.complaints = []int{0} })(t, b, o)...)
		}, silent, "a second response", false},
		"the same documents twice": {func(t *testing.T, b *Board, o *Operator) [][]byte {
			docs := honest(dealNew)(t, b, o)
			return append(docs, docs...)
		}, honest(respond), silent, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			all := operators(t, "op", 5)
			b := newBoard(t, ceremonyOf("op", 3, all), nil)
			post := func(docs [][]byte) {
				for _, d := range docs {
					_ = b.Post(d) // the board names who it was
				}
			}
			each(t, b, all[:bad], dealNew)
			post(c.deal(t, b, all[bad]))
			closePhase(t, b, Responding)
			each(t, b, all[:bad], respond)
			post(c.respond(t, b, all[bad]))
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			if b.Phase() == Answering {
				each(t, b, all[:bad], answerNew)
				post(c.answer(t, b, all[bad]))
				closePhase(t, b, Done)
			}
			checkFault(t, b, "op-04", c.reason, c.excluded)
			checkSigns(t, b, all[:bad])
			if !c.excluded && c.reason != "no response" {
				checkSigns(t, b, all[2:])
			}
		})
	}
}

func checkFault(t *testing.T, b *Board, name, reason string, excluded bool) {
	t.Helper()
	faults := b.Faults()
	if reason == "" {
		if len(faults) != 0 {
			t.Errorf("faults %v, want none", faults)
		}
	} else if len(faults) != 1 || faults[0].Name != name || !strings.Contains(faults[0].Reason, reason) || faults[0].Excluded != excluded {
		t.Errorf("faults %v, want %s: %s (excluded: %v)", faults, name, reason, excluded)
	}
	if got := !slices.Contains(b.qualified(), seatOf(b.dealers, b.dealers[len(b.dealers)-1].Key)); got != excluded {
		t.Errorf("excluded: %v, want %v", got, excluded)
	}
}

// checkSigns has the given operators sign.
func checkSigns(t *testing.T, b *Board, who []*Operator) {
	t.Helper()
	g := groupOf(t, b)
	if _, err := g.Combine(partialsOf(t, g, sharesOf(t, b, who), 3)); err != nil {
		t.Error(err)
	}
}

// What no operator signed in its place is nobody's fault.
func TestStrangersDocuments(t *testing.T) {
	all := operators(t, "op", 3)
	b := newBoard(t, ceremonyOf("op", 2, all), nil)
	other := newBoard(t, ceremonyOf("other", 2, all), nil)
	good, err := all[0].Deal(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := all[0].Deal(other, nil)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(at int, x byte) []byte {
		c := bytes.Clone(good)
		c[at] ^= x
		return c
	}
	early := (&document{kind: kindResponse, ceremony: b.hash, seat: 0, body: (&response{}).body()}).sign(all[0].Signer)
	for name, c := range map[string]struct {
		doc  []byte
		want error
	}{
		"empty":                 {nil, wire.ErrMalformed},
		"cut short":             {good[:len(good)-1], wire.ErrMalformed},
		"too long":              {append(bytes.Clone(good), 0), wire.ErrMalformed},
		"another format":        {changed(1, 3), ErrUnsupported},
		"another type":          {changed(2, 4), ErrUnsupported},
		"a deal as an answer":   {changed(2, 2), ErrInvalid},
		"another ceremony":      {foreign, ErrRefused},
		"another's seat":        {changed(35, 1), ErrInvalid},
		"no such seat":          {changed(35, 3), ErrInvalid},
		"body changed":          {changed(300, 1), ErrInvalid},
		"signature changed":     {changed(len(good)-1, 1), ErrInvalid},
		"signed by another":     {resign(good, all[1], func(*document) {}), ErrInvalid},
		"response before deals": {early, ErrRefused},
	} {
		if err := b.Post(c.doc); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if len(b.Faults()) != 0 || len(b.qualified()) != 0 {
		t.Errorf("faults %v, deals %v", b.Faults(), b.qualified())
	}
	each(t, b, all, dealNew)
	closePhase(t, b, Responding)
	if err := b.Post(good); !errors.Is(err, ErrRefused) {
		t.Errorf("a deal too late: %v", err)
	}
	stranger := operators(t, "stranger", 1)[0]
	if _, err := stranger.Deal(b, nil); !errors.Is(err, ErrRefused) {
		t.Errorf("a stranger deals: %v", err)
	}
	if _, err := stranger.Respond(b); !errors.Is(err, ErrRefused) {
		t.Errorf("a stranger responds: %v", err)
	}
	if _, err := all[0].Share(b); !errors.Is(err, ErrRefused) {
		t.Errorf("a share before the end: %v", err)
	}
	if _, err := b.Group(); !errors.Is(err, ErrRefused) {
		t.Errorf("a group before the end: %v", err)
	}
}

// A dealer who is out can't answer itself back in.
func TestAnswerOfExcludedDealer(t *testing.T) {
	all := operators(t, "op", 5)
	b := newBoard(t, ceremonyOf("op", 3, all), nil)
	each(t, b, all[:3], dealNew)
	for i, members := range [][]int{{0}, {0, 1, 2}} {
		if err := b.Post(spoil(b, all[3+i], members...)); err != nil {
			t.Fatal(err)
		}
	}
	closePhase(t, b, Responding)
	each(t, b, all, respond)
	closePhase(t, b, Answering)
	if doc, err := all[4].Answer(b, nil); err != nil || doc != nil {
		t.Errorf("an answer is due from who is out: %v", err)
	}
	_, f, err := all[4].polynomial(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	x := &answer{seats: []int{0, 1, 2}}
	for _, seat := range x.seats {
		x.shares = append(x.shares, valueAt(f, seat))
	}
	late := (&document{kind: kindAnswer, ceremony: b.hash, seat: 4, body: x.body()}).sign(all[4].Signer)
	if err := b.Post(late); !errors.Is(err, ErrInvalid) {
		t.Errorf("it answers: %v", err)
	}
	each(t, b, all[:4], answerNew)
	closePhase(t, b, Done)
	if got := b.qualified(); !slices.Equal(got, []int{0, 1, 2, 3}) {
		t.Errorf("deals of %v count", got)
	}
	checkSigns(t, b, all)
}

func TestTooFew(t *testing.T) {
	all := operators(t, "op", 4)
	b := newBoard(t, ceremonyOf("op", 3, all), nil)
	each(t, b, all[:2], dealNew)
	if err := b.Close(); !errors.Is(err, ErrRefused) || b.Phase() != Failed {
		t.Errorf("two deals: %v, phase %d", err, b.Phase())
	}
	if err := b.Close(); !errors.Is(err, ErrRefused) {
		t.Errorf("after its end: %v", err)
	}
	b = newBoard(t, ceremonyOf("op", 3, all), nil)
	each(t, b, all, dealNew)
	closePhase(t, b, Responding)
	each(t, b, all[:2], respond)
	if err := b.Close(); !errors.Is(err, ErrRefused) || b.Phase() != Failed {
		t.Errorf("two responses: %v, phase %d", err, b.Phase())
	}
	// Two of the dealers deal badly and don't answer: two are left.
	b = newBoard(t, ceremonyOf("op", 3, all), nil)
	each(t, b, all[:2], dealNew)
	each(t, b, all[2:], func(b *Board, o *Operator) ([]byte, error) { return spoil(b, o, 0), nil })
	closePhase(t, b, Responding)
	each(t, b, all, respond)
	closePhase(t, b, Answering)
	if err := b.Close(); !errors.Is(err, ErrRefused) || b.Phase() != Failed || len(b.Faults()) != 2 {
		t.Errorf("two good deals: %v, phase %d, faults %v", err, b.Phase(), b.Faults())
	}
}

// A key is handed from 3 of 5 to 4 of 6, of whom two are new. The key stays, old
// and new shares don't mix, and a dealer who hands on something else is
// named.
func TestHandOn(t *testing.T) {
	old, all := run(t, "op", 3, 5)
	g := groupOf(t, old)
	shares := sharesOf(t, old, all)
	next := append(slices.Clone(all[1:]), operators(t, "xop", 2)...)
	c := ceremonyOf("next", 4, next)
	c.Previous = g.Hash()
	b := newBoard(t, c, g)
	for i, o := range all[:4] {
		doc, err := o.Deal(b, shares[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Post(doc); err != nil {
			t.Fatal(err)
		}
	}
	b3, all3 := run(t, "op", 4, 5)
	stranger := sharesOf(t, b3, all3)[4]
	for _, s := range []*Share{nil, shares[0], stranger} {
		if _, err := all[4].Deal(b, s); !errors.Is(err, ErrInvalid) {
			t.Errorf("deals with another's share or none: %v", err)
		}
	}
	fake := &Share{g, 4, shares[0].value}
	doc, err := all[4].Deal(b, fake)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Post(doc); !errors.Is(err, ErrInvalid) {
		t.Errorf("hands on what it has not: %v", err)
	}
	checkFault(t, b, "op-04", "not of the share", true)
	closePhase(t, b, Responding)
	each(t, b, next, respond)
	closePhase(t, b, Done)
	g2 := groupOf(t, b)
	if !g2.Beacon().Key.Equal(g.Beacon().Key) {
		t.Fatal("the key changed")
	}
	shares2 := sharesOf(t, b, next)
	p, p2 := partialsOf(t, g, shares, 3), partialsOf(t, g2, shares2, 3)
	a, err := g.Combine(p[:3])
	if err != nil {
		t.Fatal(err)
	}
	for bits := range 1 << 6 {
		set := pick(p2, bits)
		if len(set) < 4 {
			continue
		}
		if z, err := g2.Combine(set); err != nil || !bytes.Equal(z.Bytes(), a.Bytes()) {
			t.Fatalf("set %06b: %v", bits, err)
		}
	}
	doc, err = shares[1].Sign(3, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g2.VerifyPartial(3, doc); !errors.Is(err, ErrInvalid) {
		t.Errorf("an old share signs in the new group: %v", err)
	}
}

// Whatever else fails: a board doesn't hand on another key.
func TestHandOnKeepsTheKey(t *testing.T) {
	old, all := run(t, "op", 2, 3)
	g := groupOf(t, old)
	shares := sharesOf(t, old, all)
	c := ceremonyOf("next", 2, all)
	c.Previous = g.Hash()
	b := newBoard(t, c, g)
	each(t, b, all, func(b *Board, o *Operator) ([]byte, error) {
		return o.Deal(b, shares[seatOf(b.dealers, o.Signer.Public())])
	})
	closePhase(t, b, Responding)
	each(t, b, all, respond)
	b.deals[1].commitments[0] = b.deals[2].commitments[0]
	if err := b.Close(); !errors.Is(err, ErrInvalid) || b.Phase() != Failed {
		t.Errorf("%v, phase %d", err, b.Phase())
	}
	if _, err := b.Group(); !errors.Is(err, ErrRefused) {
		t.Errorf("a group: %v", err)
	}
}

func TestHandOnNeedsOldThreshold(t *testing.T) {
	old, all := run(t, "op", 3, 4)
	g := groupOf(t, old)
	shares := sharesOf(t, old, all)
	c := ceremonyOf("next", 2, all[:2])
	c.Previous = g.Hash()
	b := newBoard(t, c, g)
	for i, o := range all[:2] {
		doc, err := o.Deal(b, shares[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Post(doc); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); !errors.Is(err, ErrRefused) {
		t.Errorf("two of three hand on a key: %v", err)
	}
}

func TestNewBoardRefuses(t *testing.T) {
	old, all := run(t, "op", 2, 3)
	g := groupOf(t, old)
	for name, c := range map[string]struct {
		change   func(c *Ceremony)
		previous *Group
	}{
		"no previous group":      {func(c *Ceremony) { c.Previous = g.Hash() }, nil},
		"unnamed previous group": {func(*Ceremony) {}, g},
		"another previous group": {func(c *Ceremony) { c.Previous = [32]byte{1} }, g},
		"another genesis":        {func(c *Ceremony) { c.Previous = g.Hash(); c.Genesis++ }, g},
		"another period":         {func(c *Ceremony) { c.Previous = g.Hash(); c.Period++ }, g},
		"invalid in itself":      {func(c *Ceremony) { c.Threshold = 1 }, nil},
	} {
		x := ceremonyOf("op", 2, all)
		c.change(x)
		if b, err := NewBoard(x, c.previous); !errors.Is(err, ErrInvalid) || b != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseCeremony(t *testing.T) {
	all := operators(t, "op", 4)
	good := ceremonyOf("op", 3, all)
	got, err := ParseCeremony(good.Encode())
	if err != nil || !bytes.Equal(got.Encode(), good.Encode()) || got.Hash() != good.Hash() {
		t.Fatal(err)
	}
	for name, change := range map[string]func(c *Ceremony){
		"threshold of one":    func(c *Ceremony) { c.Threshold, c.Members = 1, c.Members[:1] },
		"half":                func(c *Ceremony) { c.Threshold = 2 },
		"more than all":       func(c *Ceremony) { c.Threshold = 5 },
		"nobody":              func(c *Ceremony) { c.Members = nil },
		"no period":           func(c *Ceremony) { c.Period = 0 },
		"late genesis":        func(c *Ceremony) { c.Genesis = MaxGenesis + 1 },
		"out of order":        func(c *Ceremony) { c.Members[0], c.Members[1] = c.Members[1], c.Members[0] },
		"a name that is none": func(c *Ceremony) { c.Members[0].Name = "A" },
		"one name twice":      func(c *Ceremony) { c.Members[1].Name = c.Members[0].Name },
		"one key twice":       func(c *Ceremony) { c.Members[1].Key = c.Members[0].Key },
		"one mail key twice":  func(c *Ceremony) { c.Members[1].Mail = c.Members[0].Mail },
		"mail key is not one": func(c *Ceremony) { c.Members[1].Mail = MailKey(bytes.Repeat([]byte{0xff}, mailKeySize)) },
		"too many": func(c *Ceremony) {
			c.Threshold = 20
			c.Members = ceremonyOf("x", 20, operators(t, "x", MaxMembers+1)).Members
		},
	} {
		c := ceremonyOf("op", 3, all)
		change(c)
		if err := c.Validate(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := ParseCeremony(c.Encode()); err == nil || got != nil {
			t.Errorf("%s parses: %v", name, err)
		}
	}
	enc := good.Encode()
	enc[1] = 2
	if _, err := ParseCeremony(enc); !errors.Is(err, ErrUnsupported) {
		t.Errorf("format 2: %v", err)
	}
	largest := ceremonyOf(strings.Repeat("x", wire.MaxName-3), 17, operators(t, "x", MaxMembers))
	if n := len(largest.Encode()); n > MaxCeremony {
		t.Errorf("largest ceremony has %d bytes, bound %d", n, MaxCeremony)
	}
}

func TestParseGroup(t *testing.T) {
	b, _ := run(t, "op", 2, 3)
	g := groupOf(t, b)
	enc := g.Encode()
	got, err := ParseGroup(enc)
	if err != nil || got.Hash() != g.Hash() || got.Ceremony().Hash() != b.ceremony.Hash() {
		t.Fatal(err)
	}
	last := len(enc) - 1
	changed := func(at int) []byte {
		c := bytes.Clone(enc)
		c[at] ^= 1
		return c
	}
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"format":     {changed(1), ErrUnsupported},
		"ceremony":   {changed(5), ErrUnsupported}, // its format
		"commitment": {changed(last), wire.ErrMalformed},
		"short":      {enc[:last], wire.ErrMalformed},
		"long":       {append(bytes.Clone(enc), 0), wire.ErrMalformed},
	} {
		if got, err := ParseGroup(c.b); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	// A polynomial whose value at seat 0 is zero, and one whose key is.
	_, _, _, one := bls.Generators()
	var minus, zero bls.G2Affine
	minus.Neg(&one)
	for _, commitments := range [][]bls.G2Affine{{one, minus}, {zero, one}} {
		if _, err := newGroup(b.ceremony, commitments); !errors.Is(err, ErrInvalid) {
			t.Errorf("a zero share or key: %v", err)
		}
	}
	three := &Group{b.ceremony, []bls.G2Affine{one, one, one}, nil}
	if _, err := ParseGroup(three.Encode()); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("three commitments for threshold two: %v", err)
	}
}

func TestMailOpener(t *testing.T) {
	k, err := NewMailOpener()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseMailOpener(k.Bytes())
	if err != nil || !bytes.Equal(again.Public(), k.Public()) || len(k.Public()) != mailKeySize {
		t.Errorf("%v", err)
	}
	if _, err := ParseMailOpener(k.Bytes()[1:]); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("short key: %v", err)
	}
}

// A deal seals each share to its member alone, and bound to its dealer.
func TestSealedShares(t *testing.T) {
	all := operators(t, "op", 3)
	b := newBoard(t, ceremonyOf("op", 2, all), nil)
	each(t, b, all, dealNew)
	if _, err := all[0].open(b, 1, 0); err != nil {
		t.Fatal(err)
	}
	again := newBoard(t, ceremonyOf("again", 2, all), nil)
	each(t, again, all, dealNew)
	b.deals[2].sealed[0] = b.deals[1].sealed[0]
	again.deals[1].sealed[0] = b.deals[1].sealed[0]
	for name, try := range map[string]struct {
		b            *Board
		who          *Operator
		dealer, seat int
	}{
		"another dealer's":   {b, all[0], 2, 0},
		"another member's":   {b, all[1], 1, 0},
		"another ceremony's": {again, all[0], 1, 0},
	} {
		if _, err := try.who.open(try.b, try.dealer, try.seat); err == nil || !strings.Contains(err.Error(), "does not open") {
			t.Errorf("%s share: %v", name, err)
		}
	}
}

func FuzzParseCeremony(f *testing.F) {
	f.Add(ceremonyOf("op", 2, operators(f, "op", 2)).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseCeremony(b); err == nil && !bytes.Equal(c.Encode(), b) {
			t.Fatal("encodes otherwise")
		}
	})
}

func FuzzParseGroup(f *testing.F) {
	b, _ := run(f, "op", 2, 2)
	f.Add(groupOf(f, b).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if g, err := ParseGroup(b); err == nil && !bytes.Equal(g.Encode(), b) {
			t.Fatal("encodes otherwise")
		}
	})
}

// Documents as an operator may sign them: the body is arbitrary.
func FuzzPost(f *testing.F) {
	all := operators(f, "op", 2)
	c := ceremonyOf("op", 2, all)
	start := newBoard(f, c, nil)
	good, err := all[1].Deal(start, nil)
	if err != nil {
		f.Fatal(err)
	}
	d, _ := parseDocument(good)
	f.Add(uint8(kindDeal), d.body)
	f.Add(uint8(kindResponse), (&response{complaints: []int{0}}).body())
	f.Add(uint8(kindAnswer), (&answer{[]int{0}, make([]fr.Element, 1)}).body())
	f.Fuzz(func(t *testing.T, k uint8, body []byte) {
		d := &document{kind: kind(k), ceremony: start.hash, seat: 1, body: body}
		b := newBoard(t, c, nil)
		b.phase = Phase(k)
		if b.phase != Dealing {
			b.deals[0], _ = parseDeal(d.body, c)
		}
		err := b.Post(d.sign(all[1].Signer))
		if k < 1 || k > 3 {
			if err == nil {
				t.Fatal("takes an unknown document")
			}
			return
		}
		if (err == nil) == (len(b.Faults()) == 1) && len(body) <= maxBody {
			t.Fatalf("%v with faults %v", err, b.Faults())
		}
		checkCanonical(t, kind(k), body, c)
	})
}

func checkCanonical(t *testing.T, k kind, body []byte, c *Ceremony) {
	var again []byte
	switch k {
	case kindDeal:
		if x, err := parseDeal(body, c); err == nil {
			again = x.body()
		}
	case kindResponse:
		if x, err := parseResponse(body); err == nil {
			again = x.body()
		}
	case kindAnswer:
		if x, err := parseAnswer(body); err == nil {
			again = x.body()
		}
	}
	if again != nil && !bytes.Equal(again, body) {
		t.Fatalf("%x encodes as %x", body, again)
	}
}

func FuzzParseDocument(f *testing.F) {
	all := operators(f, "op", 2)
	b := newBoard(f, ceremonyOf("op", 2, all), nil)
	doc, err := all[0].Deal(b, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(doc)
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parseDocument(b)
		if err != nil {
			return
		}
		var w wire.Writer
		w.Uint16(Format)
		w.Uint8(uint8(d.kind))
		w.Fixed(d.ceremony[:])
		w.Uint8(uint8(d.seat))
		w.Opaque(d.body)
		w.Fixed(d.signature)
		if !bytes.Equal(w.Bytes(), b) {
			t.Fatal("encodes otherwise")
		}
	})
}

func FuzzVerifyPartial(f *testing.F) {
	b, all := run(f, "op", 2, 2)
	g := groupOf(f, b)
	good, err := sharesOf(f, b, all)[1].Sign(3, 1<<40)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := g.VerifyPartial(3, b); (err == nil) != bytes.Equal(b, good) {
			t.Fatalf("%x: %v", b, err)
		}
	})
}

func BenchmarkCombine5of9(b *testing.B) {
	board, all := run(b, "op", 5, 9)
	g := groupOf(b, board)
	partials := partialsOf(b, g, sharesOf(b, board, all), 3)
	for b.Loop() {
		if _, err := g.Combine(partials); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyPartial(b *testing.B) {
	board, all := run(b, "op", 5, 9)
	g := groupOf(b, board)
	p, err := sharesOf(b, board, all)[0].Sign(3, 1<<40)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := g.VerifyPartial(3, p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCeremony5of9(b *testing.B) {
	for b.Loop() {
		run(b, "op", 5, 9)
	}
}
