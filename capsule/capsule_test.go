package capsule_test

import (
	"bytes"
	"crypto/hpke"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"writ/capsule"
	"writ/charter"
	"writ/charter/chartertest"
	"writ/directory"
	"writ/internal/wire"
)

var (
	ratchet    = bytes.Repeat([]byte{0x5a}, 32)
	senderData = bytes.Repeat([]byte{0xd0}, 32)
)

func label(w *chartertest.World) *capsule.Label {
	return &capsule.Label{Suite: 0xF001, Conversation: []byte("conversation 16b"), Epoch: 7, Leaf: 3,
		Account: "ann@example.org", Device: "phone", Charter: w.Charter.Hash(), Period: w.Charter.Period(chartertest.Now),
		Opened: uint64(chartertest.Now.Unix()), Roster: directory.RosterRoot([]string{"ann@example.org", "bob"})}
}

func sealer(t testing.TB, w *chartertest.World) *capsule.Sealer {
	t.Helper()
	s, err := capsule.NewSealer(w.Access())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func seal(t testing.TB, s *capsule.Sealer, l *capsule.Label) *capsule.Capsule {
	t.Helper()
	c, err := s.Seal(l, ratchet, senderData)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// open opens one custodian's share with crypto/hpke.
func open(w *chartertest.World, c *capsule.Capsule, i int, ctx [32]byte) ([]byte, error) {
	leaf, share := w.Access().Leaves()[i], c.Shares()[i]
	r, err := hpke.NewRecipient(share.Enc, w.Key(leaf.Custodian, c.Label().Period), hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), ctx[:])
	if err != nil {
		return nil, err
	}
	return r.Open(share.Commitment[:], share.Ciphertext)
}

// combine undoes the gates, with the first threshold children of each.
func combine(t *testing.T, g *charter.Gate, shares [][]byte) []byte {
	if g.Leaf >= 0 {
		return shares[g.Leaf]
	}
	var xs []uint8
	var ys [][]byte
	for i, child := range g.Children[:g.Threshold] {
		xs, ys = append(xs, uint8(i+1)), append(ys, combine(t, child, shares))
	}
	secret, err := capsule.CombineShares(xs, ys)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// What is sealed here with both KEMs, crypto/hpke opens, and the shares lead
// back to the secrets.
func TestStandardLibraryOpens(t *testing.T) {
	w := chartertest.New("opens")
	c, ctx := seal(t, sealer(t, w), label(w)), capsule.Context(label(w), w.Access())
	kems := map[charter.KEM]int{}
	var shares [][]byte
	for i, leaf := range w.Access().Leaves() {
		share, err := open(w, c, i, ctx)
		if err != nil {
			t.Fatalf("%s: %v", leaf.Custodian, err)
		}
		if capsule.Commitment(ctx, leaf.Path, share) != c.Shares()[i].Commitment {
			t.Errorf("%s: share does not match its commitment", leaf.Custodian)
		}
		kems[leaf.KEM]++
		shares = append(shares, share)
	}
	if kems[charter.XWing] != 7 || kems[charter.MLKEM768P256] != 1 {
		t.Errorf("KEMs %v", kems)
	}
	key, err := capsule.BodyKey(combine(t, w.Access().Root(), shares))
	if err != nil {
		t.Fatal(err)
	}
	aead, _ := chacha20poly1305.New(key)
	body, err := aead.Open(nil, make([]byte, 12), c.Body(), ctx[:])
	if err != nil {
		t.Fatal(err)
	}
	r := wire.NewReader(body)
	if !bytes.Equal(r.Opaque(64), ratchet) || !bytes.Equal(r.Opaque(64), senderData) || r.Done() != nil {
		t.Errorf("body %x", body)
	}
}

func TestSealIsAFunction(t *testing.T) {
	w := chartertest.New("function")
	a, b := seal(t, sealer(t, w), label(w)), seal(t, sealer(t, chartertest.New("function")), label(w))
	if !bytes.Equal(a.Bytes(), b.Bytes()) || a.Hash() != b.Hash() {
		t.Error("two runs differ")
	}
	parsed, err := capsule.Parse(a.Bytes())
	if err != nil || !bytes.Equal(parsed.Bytes(), a.Bytes()) || parsed.Label().Account != "ann@example.org" {
		t.Errorf("parsed %+v, %v", parsed, err)
	}
	if err := sealer(t, w).Check(a.Bytes(), label(w), ratchet, senderData); err != nil {
		t.Error(err)
	}
	if got := label(w).OpenedAt(); !got.Equal(chartertest.Now) {
		t.Errorf("opened at %v", got)
	}
}

// Every byte of randomness is used once: no two shares of a capsule, and no
// two capsules of different contexts, have anything in common.
func TestCoinsDiffer(t *testing.T) {
	w, other := chartertest.New("coins"), chartertest.New("other custodians")
	next := label(w)
	next.Epoch++
	moved := label(w)
	moved.Charter = other.Charter.Hash()
	seen := map[string]string{}
	for name, c := range map[string]*capsule.Capsule{
		"epoch 7":          seal(t, sealer(t, w), label(w)),
		"epoch 8":          seal(t, sealer(t, w), next),
		"other custodians": seal(t, sealer(t, other), moved),
	} {
		for i, s := range c.Shares() {
			// The curve half of enc is a function of the coins alone.
			for _, part := range [][]byte{s.Commitment[:], s.Enc[1088:], s.Enc, s.Ciphertext} {
				where := fmt.Sprintf("%s share %d", name, i)
				if at, twice := seen[string(part)]; twice {
					t.Errorf("%s and %s have the same bytes", at, where)
				}
				seen[string(part)] = where
			}
		}
	}
}

// R4: a capsule moved anywhere else is refused.
func TestMovedCapsuleIsRefused(t *testing.T) {
	w := chartertest.New("moved")
	s, c := sealer(t, w), seal(t, sealer(t, w), label(w))
	for name, move := range map[string]func(*capsule.Label){
		"suite":        func(l *capsule.Label) { l.Suite = 1 },
		"conversation": func(l *capsule.Label) { l.Conversation = []byte("other") },
		"epoch":        func(l *capsule.Label) { l.Epoch++ },
		"leaf":         func(l *capsule.Label) { l.Leaf++ },
		"account":      func(l *capsule.Label) { l.Account = "bob" },
		"device":       func(l *capsule.Label) { l.Device = "laptop" },
		"opened":       func(l *capsule.Label) { l.Opened++ },
		"roster":       func(l *capsule.Label) { l.Roster[0]++ },
		"boundary":     func(l *capsule.Label) { l.Account, l.Device = "ann@example.orgp", "hone" },
	} {
		l := label(w)
		move(l)
		var m *capsule.Mismatch
		if err := s.Check(c.Bytes(), l, ratchet, senderData); !errors.As(err, &m) || m.Part != "label" {
			t.Errorf("%s: %v", name, err)
		}
		// With the label's bytes put in its place, the rest gives it away.
		forged := bytes.Replace(c.Bytes(), label(w).Encode(), l.Encode(), 1)
		if err := s.Check(forged, l, ratchet, senderData); !errors.As(err, &m) || m.Part != "body" {
			t.Errorf("%s, label exchanged: %v", name, err)
		}
		for i := range c.Shares() {
			if _, err := open(w, c, i, capsule.Context(l, w.Access())); err == nil {
				t.Errorf("%s: custodian %d opens it", name, i)
			}
		}
	}
}

// R4: the same for another charter and another key period.
func TestCapsuleOfAnotherLawIsRefused(t *testing.T) {
	w, other := chartertest.New("law"), chartertest.New("other law")
	c := seal(t, sealer(t, w), label(w))
	l := label(w)
	l.Charter = other.Charter.Hash()
	if err := sealer(t, other).Check(c.Bytes(), l, ratchet, senderData); !errors.Is(err, capsule.ErrInvalid) {
		t.Errorf("other charter: %v", err)
	}
	if err := sealer(t, w).Check(c.Bytes(), l, ratchet, senderData); !errors.Is(err, capsule.ErrInvalid) {
		t.Errorf("label of another charter: %v", err)
	}
	next, err := w.Charter.Access(label(w).Period+1, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := capsule.NewSealer(next)
	if err != nil {
		t.Fatal(err)
	}
	l = label(w)
	l.Period++
	if err := s.Check(c.Bytes(), l, ratchet, senderData); !errors.Is(err, capsule.ErrInvalid) {
		t.Errorf("other period: %v", err)
	}
	if err := s.Check(c.Bytes(), label(w), ratchet, senderData); !errors.Is(err, capsule.ErrInvalid) {
		t.Errorf("label of another period: %v", err)
	}
}

// One custodian's other key gives every custodian another share, so that shares
// of an old and a new set can't be put together.
func TestKeysAreInTheContext(t *testing.T) {
	w := chartertest.New("keys")
	keys, period := w.Charter.Keys, w.Charter.Period(chartertest.Now)
	w.Charter.Keys = nil
	l := label(w)
	seal := func() *capsule.Capsule {
		a, err := w.Charter.Access(period, keys)
		if err != nil {
			t.Fatal(err)
		}
		s, err := capsule.NewSealer(a)
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.Seal(l, ratchet, senderData)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before := seal()
	other := w.Statement(keys[0].Office, keys[0].Custodian, period+2)
	other.Period = keys[0].Period
	other.Sign(w.Custodians[other.Custodian])
	keys = slices.Concat([]*charter.KeyStatement{other}, keys[1:])
	for i, s := range seal().Shares() {
		if s.Commitment == before.Shares()[i].Commitment {
			t.Errorf("custodian %d keeps its share", i)
		}
	}
}

func TestWrongSecretsAreRefused(t *testing.T) {
	w := chartertest.New("secrets")
	s, c := sealer(t, w), seal(t, sealer(t, w), label(w))
	wrong := slices.Clone(ratchet)
	wrong[31] ^= 1
	for name, pair := range map[string][2][]byte{
		"other s": {wrong, senderData}, "other d": {ratchet, wrong}, "swapped": {senderData, ratchet},
	} {
		if err := s.Check(c.Bytes(), label(w), pair[0], pair[1]); !errors.Is(err, capsule.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, pair := range map[string][2]int{"short": {31, 31}, "long": {65, 65}, "two sizes": {33, 32}} {
		c, err := s.Seal(label(w), make([]byte, pair[0]), make([]byte, pair[1]))
		if !errors.Is(err, capsule.ErrInvalid) || c != nil {
			t.Errorf("%s: sealed, %v", name, err)
		}
	}
}

func TestLabelIsChecked(t *testing.T) {
	w := chartertest.New("label")
	for name, change := range map[string]func(*capsule.Label){
		"no conversation":   func(l *capsule.Label) { l.Conversation = nil },
		"long conversation": func(l *capsule.Label) { l.Conversation = make([]byte, 65) },
		"account":           func(l *capsule.Label) { l.Account = "A" },
		"other charter":     func(l *capsule.Label) { l.Charter[0] ^= 1 },
		"other period":      func(l *capsule.Label) { l.Period++ },
		"device":            func(l *capsule.Label) { l.Device = "" },
	} {
		l := label(w)
		change(l)
		if c, err := sealer(t, w).Seal(l, ratchet, senderData); !errors.Is(err, capsule.ErrInvalid) || c != nil {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
}

// A receiver can say what is wrong and with whose share.
func TestMismatchNamesThePart(t *testing.T) {
	w := chartertest.New("parts")
	s, good := sealer(t, w), seal(t, sealer(t, w), label(w)).Bytes()
	c, _ := capsule.Parse(good)
	at := func(part []byte) int { return bytes.Index(good, part) }
	for want, i := range map[string]int{
		"label":                                 at(label(w).Conversation),
		"body":                                  at(c.Body()),
		"commitment of custodian judicial-2":    at(c.Shares()[1].Commitment[:]),
		"sealed share of custodian oversight-1": at(c.Shares()[3].Enc),
		"sealed share of custodian publication-3": at(c.Shares()[7].Ciphertext),
	} {
		bad := slices.Clone(good)
		bad[i] ^= 1
		if err := s.Check(bad, label(w), ratchet, senderData); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for name, bad := range map[string][]byte{"cut": good[:len(good)-1], "longer": append(slices.Clone(good), 0),
		"empty": nil, "huge": make([]byte, capsule.MaxSize+1)} {
		if err := s.Check(bad, label(w), ratchet, senderData); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Golden bytes: a change of any of them splits the network, so that receivers
// refuse each other's capsules. The vectors hold inputs that differ in KEMs and
// in the depth of the structure.
func TestGolden(t *testing.T) {
	for name, shapes := range map[string][]chartertest.Shape{
		"xwing":        {{Office: "a", Need: 1, Custodians: 1, Approve: 1, Approvers: 1}, {Office: "b", Need: 1, Custodians: 1, Approve: 1, Approvers: 1}},
		"mlkem768p256": {{Office: "a", Need: 1, Custodians: 1, Approve: 1, Approvers: 1, Token: 1}, {Office: "b", Need: 1, Custodians: 1, Approve: 1, Approvers: 1, Token: 1}},
		"nested":       chartertest.Three,
		"deep":         nil,
	} {
		w := chartertest.New("golden", shapes...)
		if name == "deep" {
			deepen(w)
		}
		got := fmt.Sprintf("%x\n", seal(t, sealer(t, w), label(w)).Bytes())
		file := "testdata/" + name + ".hex"
		if os.Getenv("WRIT_GOLDEN") != "" {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: bytes differ from %s", name, file)
		}
	}
}

// deepen replaces the structure by one of four levels.
func deepen(w *chartertest.World) {
	of := func(k uint8, children ...*charter.Node) *charter.Node {
		return &charter.Node{Threshold: k, Children: children}
	}
	offices := w.Charter.Structure.Children
	w.Charter.Structure = of(2, of(1, offices[0], offices[2]), offices[1])
}
