package notice_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"writ/capsule"
	"writ/charter"
	"writ/charter/chartertest"
	"writ/internal/wire"
	"writ/ledger"
	"writ/notice"
	"writ/notice/beacon"
	"writ/notice/beacon/beacontest"
	"writ/warrant"
)

// The leaf binds the capsule and the salt, each in its place.
func TestLeaf(t *testing.T) {
	a, b := [32]byte{1}, [32]byte{2}
	want := wire.Hash("notice", a[:], b[:])
	if got := notice.Leaf(capsule.Hash(a), b); got != want {
		t.Errorf("leaf %x, want %x", got, want)
	}
	const golden = "167879814513d45dc75537bf4308ecae52862370862d0ef349bba1e769bf7649"
	if got := hex.EncodeToString(want[:]); got != golden {
		t.Errorf("leaf %s, want %s", got, golden)
	}
	if notice.Leaf(capsule.Hash(b), a) == want {
		t.Error("capsule and salt change places")
	}
}

func hashOf(n uint64) (h capsule.Hash) {
	binary.BigEndian.PutUint64(h[:], n)
	return h
}

// Match finds exactly the capsules that were asked for under the same salt.
func TestMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		salt := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "salt"))
		asked := rapid.SliceOfNDistinct(rapid.Uint64Max(60), 0, 30, rapid.ID).Draw(t, "asked")
		mine := rapid.SliceOfN(rapid.Uint64Max(60), 0, 30).Draw(t, "mine")
		var leaves [][32]byte
		for _, n := range asked {
			leaves = append(leaves, notice.Leaf(hashOf(n), salt))
		}
		var hashes []capsule.Hash
		var want []int
		for i, n := range mine {
			hashes = append(hashes, hashOf(n))
			if slices.Contains(asked, n) {
				want = append(want, i)
			}
		}
		if got := notice.Match(leaves, salt, hashes); !slices.Equal(got, want) {
			t.Fatalf("matches %v, want %v", got, want)
		}
		salt[0] ^= 1
		if got := notice.Match(leaves, salt, hashes); got != nil {
			t.Fatalf("matches %v under another salt", got)
		}
	})
}

// world is one request under a law with a beacon of two in three operators.
type world struct {
	law     *charter.Charter
	warrant *ledger.LoggedWarrant
	request *ledger.LoggedRequest
	order   *warrant.Warrant
	salt    [32]byte // of the commitment
	opened  []notice.Compartment
	sequel  ledger.Sequel
	clock   *beacontest.World
}

const round = 40

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{law: chartertest.New("card").Charter, salt: [32]byte{5}}
	w.clock = beacontest.New("card", 1_790_000_000, 3600, 2, 3)
	w.law.Beacon = w.clock.Beacon()
	w.order = &warrant.Warrant{Reference: "12 Gs 34/26", LegalType: "order", LegalEntity: "the police of Testland",
		WindowStart: "2026-10-01T00:00:00Z", WindowEnd: "2026-10-08T00:00:00Z", Necessity: "Nothing else helps."}
	w.warrant = &ledger.LoggedWarrant{Index: 7, Hash: ledger.EntryHash{1}, Warrant: &ledger.Warrant{Public: warrant.Public{
		Commitment: warrant.Commitment(w.salt, w.order.Hash()), Charter: w.law.Hash(), CaseType: "homicide",
		Offices: []string{"judicial", "oversight"}, Window: 7 * 86400, NotBefore: 1_790_000_000, NotAfter: 1_790_600_000}}}
	salt := [32]byte{8}
	lock, err := beacon.Lock(w.law.Beacon.Key, round, salt)
	if err != nil {
		t.Fatal(err)
	}
	w.request = &ledger.LoggedRequest{Index: 9, Hash: ledger.EntryHash{2}, Request: &ledger.Request{
		WarrantIndex: 7, Warrant: w.warrant.Hash, Round: round, Timelock: lock}}
	for i := range uint64(4) {
		l := &capsule.Label{Conversation: []byte{0xab, byte(i)}, Epoch: 10 - i, Account: "anna", Device: "phone", Opened: 1_780_000_000 - i}
		w.opened = append(w.opened, notice.Compartment{Hash: hashOf(i), Label: l})
		w.request.Leaves = append(w.request.Leaves, notice.Leaf(hashOf(i), salt))
	}
	w.request.Leaves = w.request.Leaves[:3] // the fourth was not asked for
	return w
}

func (w *world) notice(sig *beacon.Signature) *ledger.Notice {
	return &ledger.Notice{Law: w.law, Warrant: w.warrant, Request: w.request, Signature: sig, Sequel: w.sequel}
}

// R16: with the public entries, the round's signature and the capsules' hashes
// alone, a device finds its openings and makes the card.
func TestNoticeBySignatureAlone(t *testing.T) {
	w := newWorld(t)
	published := w.clock.Sign(round).Bytes()

	sig, err := w.law.Beacon.Key.Verify(w.request.Round, published)
	if err != nil {
		t.Fatal(err)
	}
	salt, err := beacon.Unlock(w.request.Timelock, sig)
	if err != nil {
		t.Fatal(err)
	}
	var hashes []capsule.Hash
	for _, c := range w.opened {
		hashes = append(hashes, c.Hash)
	}
	mine := notice.Match(w.request.Leaves, salt, hashes)
	if !slices.Equal(mine, []int{0, 1, 2}) {
		t.Fatalf("matches %v", mine)
	}
	card, err := notice.NewCard(w.notice(sig), w.opened[:3])
	if err != nil {
		t.Fatal(err)
	}
	if len(card.Opened) != 3 || card.Opened[0] != w.opened[2].Label {
		t.Errorf("opened %v", card.Opened)
	}
}

// R17: the card says which order, when, what, by whom, why late, what now.
func TestCardSaysEnough(t *testing.T) {
	w := newWorld(t)
	card, err := notice.NewCard(w.notice(w.clock.Sign(round)), w.opened[:3])
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(card.Lines(), "\n")
	for what, say := range map[string]string{
		"warrant entry":  "entry 7 of the public ledger, reference " + hex.EncodeToString(w.warrant.Commitment[:]),
		"request entry":  "entry 9, reference " + hex.EncodeToString(w.request.Hash[:]),
		"life":           "valid from 21 September 2026 14:13 UTC until 28 September 2026 12:53 UTC",
		"window":         "covered a time of 7 days",
		"case":           "type homicide",
		"account":        "what anna wrote with the device phone",
		"conversation":   "conversation ab02",
		"opening":        "from 28 May 2026 20:26 UTC on",
		"epoch":          "epoch 8",
		"offices":        "Approved by: " + w.law.Office("judicial").Title + "; " + w.law.Office("oversight").Title,
		"jurisdiction":   "Jurisdiction: " + w.law.Jurisdiction,
		"basis":          "Legal basis: " + w.law.LegalBasis,
		"law":            w.law.Hash().String(),
		"delay":          "You were not told at once, because",
		"longest delay":  "at most 90 days",
		"date of notice": "23 September 2026 05:13 UTC (round 40 of the beacon)",
		"remedy":         "You can complain to them, and have the courts of " + w.law.Jurisdiction,
	} {
		if !strings.Contains(text, say) {
			t.Errorf("%s: no %q in\n%s", what, say, text)
		}
	}
	for _, quiet := range []string{"urgent", "test", w.order.Reference} {
		if strings.Contains(text, quiet) {
			t.Errorf("%q in\n%s", quiet, text)
		}
	}
	if err := card.Show(w.order, [32]byte{6}); !errors.Is(err, notice.ErrRefused) || card.Order != nil {
		t.Errorf("another salt: %v", err)
	}
	other := *w.order
	other.Necessity = "Whatever."
	if err := card.Show(&other, w.salt); !errors.Is(err, notice.ErrRefused) || card.Order != nil {
		t.Errorf("another warrant: %v", err)
	}
	if err := card.Show(w.order, w.salt); err != nil {
		t.Fatal(err)
	}
	card.Urgent, card.Test = true, true
	text = strings.Join(card.Lines(), "\n")
	for _, say := range []string{"12 Gs 34/26 (order) by the police of Testland", "2026-10-01T00:00:00Z until 2026-10-08T00:00:00Z",
		"Nothing else helps.", "urgent procedure", "This is a test"} {
		if !strings.Contains(text, say) {
			t.Errorf("no %q in\n%s", say, text)
		}
	}
}

func TestCardFlags(t *testing.T) {
	w := newWorld(t)
	w.warrant.Flags = warrant.IsEmergency | warrant.IsTest
	w.law.Limits.MaxNoticeDelay = 3600
	w.warrant.Charter = w.law.Hash()
	w.warrant.Window, w.warrant.Offices = 90, []string{"unknown"}
	card, err := notice.NewCard(w.notice(w.clock.Sign(round)), w.opened[:1])
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(card.Lines(), "\n")
	for _, say := range []string{"urgent procedure", "This is a test", "at most 1 hour after", "a time of 90 seconds", "Approved by: unknown."} {
		if !strings.Contains(text, say) {
			t.Errorf("no %q in\n%s", say, text)
		}
	}
}

func TestCardRefuses(t *testing.T) {
	good := newWorld(t)
	sig, later := good.clock.Sign(round), good.clock.Sign(round+1)
	stranger := beacontest.New("stranger", 1_790_000_000, 3600, 2, 3)
	foreign := stranger.Sign(round)
	for name, c := range map[string]struct {
		change func(w *world) (*beacon.Signature, []notice.Compartment)
		want   error
	}{
		"another charter": {func(w *world) (*beacon.Signature, []notice.Compartment) {
			w.law.Name += "."
			return sig, w.opened[:1]
		}, notice.ErrRefused},
		"another warrant's index": {func(w *world) (*beacon.Signature, []notice.Compartment) {
			w.request.WarrantIndex++
			return sig, w.opened[:1]
		}, notice.ErrRefused},
		"another warrant's hash": {func(w *world) (*beacon.Signature, []notice.Compartment) {
			w.request.Warrant[0]++
			return sig, w.opened[:1]
		}, notice.ErrRefused},
		"another round": {func(w *world) (*beacon.Signature, []notice.Compartment) {
			return later, w.opened[:1]
		}, notice.ErrRefused},
		"another beacon": {func(w *world) (*beacon.Signature, []notice.Compartment) {
			lock, err := beacon.Lock(stranger.Beacon().Key, round, [32]byte{8})
			if err != nil {
				t.Fatal(err)
			}
			w.request.Timelock = lock
			return foreign, w.opened[:1]
		}, beacon.ErrInvalid},
		"timelock changed": {func(w *world) (*beacon.Signature, []notice.Compartment) {
			w.request.Timelock = slices.Clone(w.request.Timelock)
			w.request.Timelock[150] ^= 1
			return sig, w.opened[:1]
		}, beacon.ErrInvalid},
		"round 0": {func(w *world) (*beacon.Signature, []notice.Compartment) {
			w.request.Round = 0
			return sig, w.opened[:1]
		}, beacon.ErrInvalid},
		"not listed":     {func(w *world) (*beacon.Signature, []notice.Compartment) { return sig, w.opened[2:] }, notice.ErrRefused},
		"no compartment": {func(w *world) (*beacon.Signature, []notice.Compartment) { return sig, nil }, notice.ErrRefused},
		"no beacon": {func(w *world) (*beacon.Signature, []notice.Compartment) {
			w.law.Beacon = nil
			w.warrant.Charter = w.law.Hash()
			return sig, w.opened[:1]
		}, notice.ErrInvalid},
	} {
		w := *good
		law, order, request, in := *good.law, *good.warrant, *good.request, *good.request.Request
		w.law, w.warrant, w.request = &law, &order, &request
		entry := *good.warrant.Warrant
		w.warrant.Warrant, w.request.Request = &entry, &in
		s, opened := c.change(&w)
		if card, err := notice.NewCard(w.notice(s), opened); !errors.Is(err, c.want) || card != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := notice.NewCard(good.notice(sig), good.opened[:3]); err != nil {
		t.Error(err)
	}
}

// A device's check of 10,000 notices, of one leaf each, of which none is its own:
// unlocking each (of 100 that differ), and matching it with 100 capsules.
func BenchmarkCheck10000Notices(b *testing.B) {
	w := newWorld(b)
	sig := w.clock.Sign(round)
	locks := make([][]byte, 100)
	for i := range locks {
		lock, err := beacon.Lock(w.law.Beacon.Key, round, [32]byte{31: byte(i)})
		if err != nil {
			b.Fatal(err)
		}
		locks[i] = lock
	}
	hashes := make([]capsule.Hash, 100)
	for i := range hashes {
		hashes[i] = hashOf(uint64(i))
	}
	for b.Loop() {
		for i := range 10_000 {
			salt, err := beacon.Unlock(locks[i%len(locks)], sig)
			if err != nil || notice.Match(w.request.Leaves[:1], salt, hashes) != nil {
				b.Fatal("a match, or none unlocks", err)
			}
		}
	}
}

// Matching alone: 10,000 notices of one leaf with 100 capsules each.
func BenchmarkMatch10000Notices(b *testing.B) {
	hashes := make([]capsule.Hash, 100)
	for i := range hashes {
		hashes[i] = hashOf(uint64(i))
	}
	leaf := [][32]byte{{1}}
	for b.Loop() {
		for i := range 10_000 {
			if notice.Match(leaf, [32]byte{byte(i), byte(i >> 8)}, hashes) != nil {
				b.Fatal("match")
			}
		}
	}
}
