package warrant

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hpke"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"writ/charter"
	"writ/internal/wire"
)

// fixedKey is an X-Wing public key from a fixed seed, so that encodings in tests
// are always the same.
func fixedKey(seed byte) []byte {
	k, err := hpke.MLKEM768X25519().NewPrivateKey(bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		panic(err)
	}
	return k.PublicKey().Bytes()
}

func fixedPerson(seed byte) PersonKey {
	k := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))
	return PersonKey(k.Public().(ed25519.PublicKey))
}

// order is a good warrant: window of one day, life of two, notice after three.
func order() *Warrant {
	return &Warrant{
		ID:             ID{1, 2, 3},
		Charter:        [32]byte{9},
		Action:         Disclose,
		Renews:         [32]byte{4, 5},
		Reference:      "Ref. 17/2026",
		LegalType:      "court order",
		CaseType:       "kidnapping",
		Jurisdiction:   "Utopia",
		LegalEntity:    "Federal Police, unit 4",
		Subject:        "alice",
		SubjectAgain:   "alice",
		Direction:      SentAndReceived,
		Conversations:  [][]byte{{1}, {2, 2}},
		WindowStart:    "2026-11-01T00:00:00+01:00",
		WindowEnd:      "2026-11-02T00:00:00+01:00",
		NotBefore:      1793700000,
		NotAfter:       1793700000 + 2*86400,
		Necessity:      "A child is missing and the last call came from this account.",
		LeastIntrusive: "Metadata was asked for on 31 October and names no place.",
		ReaderKey:      fixedKey(7),
		Readers:        []Reader{{"inspector-1", fixedPerson(1), fixedKey(8)}, {"inspector-2", fixedPerson(2), fixedKey(9)}},
		NoticeDue:      1793700000 + 3*86400,
		Flags:          IsEmergency,
	}
}

func TestGoldenWarrant(t *testing.T) {
	want, err := os.ReadFile("testdata/warrant.hex")
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(order().Encode()); got != strings.TrimSpace(string(want)) {
		t.Errorf("encoding changed:\n%s", got)
	}
	const hash = "30903a9c7152d9e5d02eb1287174ae88c72006e27cac5b8d24fbb68f6770db32"
	if h := order().Hash(); hex.EncodeToString(h[:]) != hash {
		t.Errorf("hash changed: %x", h)
	}
	draft, err := os.ReadFile("testdata/draft.json")
	if err != nil {
		t.Fatal(err)
	}
	if got := order().JSON(); !bytes.Equal(got, draft) {
		t.Errorf("draft changed:\n%s", got)
	}
	w, err := ParseDraft(draft)
	if err != nil {
		t.Fatal(err)
	}
	if w.Hash() != order().Hash() {
		t.Error("draft gives another warrant")
	}
}

// formRules is one row per rule of form: a change to a good warrant, and the
// field the error must name.
var formRules = []struct {
	name, field string
	change      func(*Warrant)
}{
	{"R21 blank necessity", "necessity", func(w *Warrant) { w.Necessity = " \n\t" }},
	{"R21 empty necessity", "necessity", func(w *Warrant) { w.Necessity = "" }},
	{"R21 blank least intrusive", "least_intrusive", func(w *Warrant) { w.LeastIntrusive = "  " }},
	{"R21 blank in Unicode", "least_intrusive", func(w *Warrant) { w.LeastIntrusive = "\u00a0\u2003" }},
	{"blank reference", "reference", func(w *Warrant) { w.Reference = "" }},
	{"blank legal type", "legal_type", func(w *Warrant) { w.LegalType = "" }},
	{"blank jurisdiction", "jurisdiction", func(w *Warrant) { w.Jurisdiction = "" }},
	{"blank legal entity", "legal_entity", func(w *Warrant) { w.LegalEntity = " " }},
	{"zero id", "id", func(w *Warrant) { w.ID = ID{} }},
	{"subjects differ", "subject_again", func(w *Warrant) { w.SubjectAgain = "alicia" }},
	{"no subject", "subject", func(w *Warrant) { w.Subject, w.SubjectAgain = "", "" }},
	{"case type is no name", "case_type", func(w *Warrant) { w.CaseType = "Kidnapping!" }},
	{"test on a person", "subject", func(w *Warrant) { w.Flags = IsTest }},
	{"too many conversations", "conversations", func(w *Warrant) {
		w.Conversations = nil
		for i := range maxConversations + 1 {
			w.Conversations = append(w.Conversations, []byte{byte(i >> 8), byte(i)})
		}
	}},
	{"direction 0", "direction", func(w *Warrant) { w.Direction = 0 }},
	{"direction 3", "direction", func(w *Warrant) { w.Direction = 3 }},
	{"unknown flag", "flags", func(w *Warrant) { w.Flags = 8 }},
	{"action 0", "action", func(w *Warrant) { w.Action = 0 }},
	{"action 3", "action", func(w *Warrant) { w.Action = 3 }},
	{"nobody who may read", "readers", func(w *Warrant) { w.Readers = nil }},
	{"too many readers", "readers", func(w *Warrant) {
		for i := range maxReaders - 1 {
			w.Readers = append(w.Readers, Reader{fmt.Sprintf("r-%d", i), fixedPerson(byte(50 + i)), fixedKey(byte(50 + i))})
		}
	}},
	{"reader twice", "readers", func(w *Warrant) { w.Readers[1].ID = "inspector-1" }},
	{"readers share a key", "readers", func(w *Warrant) { w.Readers[1].Key = w.Readers[0].Key }},
	{"readers share a mail key", "readers", func(w *Warrant) { w.Readers[1].Mail = w.Readers[0].Mail }},
	{"reader with the examiner's key", "readers", func(w *Warrant) { w.Readers[1].Mail = w.ReaderKey }},
	{"reader without a name", "readers", func(w *Warrant) { w.Readers[0].ID = "Inspector 1" }},
	{"reader's key of small order", "readers", func(w *Warrant) { w.Readers[0].Key = PersonKey{1} }},
	{"reader's mail key of low order", "readers", func(w *Warrant) { clear(w.Readers[0].Mail[1184:]) }},
	{"conversation twice", "conversations", func(w *Warrant) { w.Conversations = [][]byte{{1}, {1}} }},
	{"conversation empty", "conversations", func(w *Warrant) { w.Conversations = [][]byte{{}} }},
	{"unknown zone", "window_start", func(w *Warrant) { w.WindowStart = "2026-11-01T00:00:00-00:00" }},
	{"zero offset not Z", "window_start", func(w *Warrant) { w.WindowStart = "2026-11-01T00:00:00+00:00" }},
	{"zone by abbreviation", "window_end", func(w *Warrant) { w.WindowEnd = "2026-11-02T00:00:00 CET" }},
	{"no zone", "window_end", func(w *Warrant) { w.WindowEnd = "2026-11-02T00:00:00" }},
	{"fraction of a second", "window_end", func(w *Warrant) { w.WindowEnd = "2026-11-02T00:00:00.5Z" }},
	{"window ends at its start", "window_end", func(w *Warrant) { w.WindowEnd = w.WindowStart }},
	{"window before 1970", "window_start", func(w *Warrant) { w.WindowStart = "1969-11-01T00:00:00Z" }},
	{"life of nothing", "not_after", func(w *Warrant) { w.NotAfter = w.NotBefore }},
	{"life beyond the calendar", "not_after", func(w *Warrant) { w.NotAfter = 1 << 62; w.NoticeDue = w.NotBefore }},
	{"notice before life", "notice_due", func(w *Warrant) { w.NoticeDue = w.NotBefore - 1 }},
	{"reader key short", "reader_key", func(w *Warrant) { w.ReaderKey = w.ReaderKey[1:] }},
	{"reader key of low order", "reader_key", func(w *Warrant) { clear(w.ReaderKey[1184:]) }},
	{"text with control character", "reference", func(w *Warrant) { w.Reference = "a\x1b[2J" }},
	{"text reversed", "necessity", func(w *Warrant) { w.Necessity = "a\u202eb" }},
}

func TestFormRules(t *testing.T) {
	if _, err := Parse(order().Encode()); err != nil {
		t.Fatal(err)
	}
	for _, c := range formRules {
		w := order()
		c.change(w)
		if got, err := ParseDraft(w.JSON()); c.field != "flags" && (err == nil || got != nil || !strings.Contains(err.Error(), c.field)) { // a draft has no bit to set for an unknown flag
			t.Errorf("%s: draft: got %v, %v; want error naming %s", c.name, got, err, c.field)
		}
		got, err := Parse(w.Encode())
		if got != nil || !(errors.Is(err, wire.ErrMalformed) || errors.Is(err, ErrUnsupported)) {
			t.Errorf("%s: binary: got %v, %v", c.name, got, err)
		}
	}
}

// TestUnknownRejectsWhole is R37 for the binary form.
func TestUnknownRejectsWhole(t *testing.T) {
	good := order().Encode()
	version := bytes.Clone(good)
	version[1] = 2
	kem := bytes.Replace(bytes.Clone(good), []byte{0x64, 0x7a, 0x44, 0xc0}, []byte{0x00, 0x50, 0x44, 0xc0}, 1)
	flag := bytes.Clone(good)
	flag[len(flag)-1] |= 1 << 3 // the last field
	for name, b := range map[string][]byte{
		"version":  version,
		"kem":      kem,
		"flag":     flag,
		"trailing": append(bytes.Clone(good), 0),
		"cut":      good[:len(good)-1],
		"empty":    nil,
		"huge":     append(bytes.Clone(good), make([]byte, MaxSize)...),
	} {
		if bytes.Equal(b, good) {
			t.Fatalf("%s: not changed", name)
		}
		if w, err := Parse(b); w != nil || err == nil {
			t.Errorf("%s: got %v, %v", name, w, err)
		}
	}
}

// TestDraftMembers is R37 for the JSON form: the error names the member.
func TestDraftMembers(t *testing.T) {
	good, renews := string(order().JSON()), order().Renews
	change := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("draft holds no %s", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for _, c := range []struct{ name, draft, want string }{
		{"unknown", change(`"is_test"`, `"is_tset": false, "is_test"`), "is_tset"},
		{"case differs", change(`"subject"`, `"Subject"`), "subject"},
		{"twice", change(`"subject"`, `"subject": "bob", "subject"`), "subject"},
		{"null", change(`"alice"`, `null`), "subject"},
		{"number", change(`"alice"`, `7`), "subject"},
		{"flag is text", change(`"is_test": false`, `"is_test": "false"`), "is_test"},
		{"flag is null", change(`"is_test": false`, `"is_test": null`), "is_test"},
		{"list is null", change(`["01","0202"]`, `null`), "conversations"},
		{"id short", change(`"0102`, `"02`), "id"},
		{"ambiguous life", change(`"not_before": "2026-11-03T10:00:00Z"`, `"not_before": "2026-11-03T10:00:00"`), "not_before"},
		{"action word", change(`"disclose"`, `"open"`), "action"},
		{"renews short", change(`"0405`, `"05`), "renews"},
		{"renews zero", change(`"0405`, `"0000`), "renews"},
		{"renews null", change(`"renews": "`+hex.EncodeToString(renews[:])+`"`, `"renews": null`), "renews"},
		{"readers null", change(`"readers": [`, `"readers": null, "x": [`), "readers"},
		{"reader with more", change(`[{"id"`, `[{"rank": "1", "id"`), "readers"},
		{"reader without a key", change(`[{"id"`, `[{"idd"`), "readers"},
		{"reader's id twice", change(`[{"id"`, `[{"id": "a", "id"`), "readers"},
		{"privileged is text", change(`"is_privileged": false`, `"is_privileged": "no"`), "is_privileged"},
		{"direction word", change(`"sent and received"`, `"both"`), "direction"},
		{"second object", good + "{}", "draft"},
		{"no object", "[]", "draft"},
		{"empty", "", "draft"},
		{"cut", strings.TrimSuffix(good, "}\n"), "draft"},
		{"huge", good + strings.Repeat(" ", 2*MaxSize), "draft"},
	} {
		w, err := ParseDraft([]byte(c.draft))
		if w != nil || !errors.Is(err, wire.ErrMalformed) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, %v; want malformed naming %s", c.name, w, err, c.want)
		}
	}
}

func TestDraftNeedsEveryMember(t *testing.T) {
	for _, f := range fields {
		var all map[string]any
		if err := json.Unmarshal(order().JSON(), &all); err != nil {
			t.Fatal(err)
		}
		delete(all, f.name)
		b, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseDraft(b); err == nil || !strings.Contains(err.Error(), f.name+": missing") {
			t.Errorf("without %s: %v", f.name, err)
		}
	}
}

// TestRoundTrip: both forms give any warrant of good form again.
func TestRoundTrip(t *testing.T) {
	key := fixedKey(7)
	rapid.Check(t, func(t *rapid.T) {
		w := order()
		copy(w.ID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		w.ID[0] |= 1
		w.Reference = "x" + rapid.StringMatching(`[ -~é\n]{0,40}`).Draw(t, "reference")
		w.Necessity = rapid.StringMatching(`[ -~]{0,40}y`).Draw(t, "necessity")
		w.Direction = rapid.SampledFrom([]Direction{Sent, SentAndReceived}).Draw(t, "direction")
		w.Subject, w.SubjectAgain = "test.alice", "test.alice"
		w.Flags = Flags(rapid.IntRange(0, 3).Draw(t, "flags"))
		w.Conversations = rapid.SliceOfNDistinct(rapid.SliceOfN(rapid.Byte(), 1, 64), 0, 5,
			func(b []byte) string { return string(b) }).Draw(t, "conversations")
		w.NotBefore = rapid.Uint64Range(0, wire.MaxTime-1).Draw(t, "not_before")
		w.NotAfter = rapid.Uint64Range(w.NotBefore+1, wire.MaxTime).Draw(t, "not_after")
		w.NoticeDue = rapid.Uint64Range(w.NotBefore, wire.MaxTime).Draw(t, "notice_due")
		w.ReaderKey = key
		again, err := Parse(w.Encode())
		if err != nil {
			t.Fatal(err)
		}
		draft, err := ParseDraft(again.JSON())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(draft.Encode(), w.Encode()) {
			t.Fatal("forms differ")
		}
	})
}

func TestExplainSaysAll(t *testing.T) {
	w := order()
	w.Flags |= IsTest // not on a synthetic account: Explain doesn't judge
	all := strings.Join(w.Explain(), "\n")
	for _, want := range []string{
		"alice", "every other member", "2 named conversations", "2026-11-01T00:00:00+01:00", "24.0 hours", "2.0 days",
		"A child is missing", "names no place", "2026-11-06T10:00:00Z", "EMERGENCY", "TEST", "Ref. 17/2026", "Federal Police",
		w.Charter.String(),
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in:\n%s", want, all)
		}
	}
	w.Direction, w.Conversations = Sent, nil
	all = strings.Join(w.Explain(), "\n")
	if !strings.Contains(all, "nothing that others sent") || !strings.Contains(all, "ALL conversations") {
		t.Errorf("scope is not explained:\n%s", all)
	}
}

// TestCommitmentBinds is R15: another warrant or salt does not open it.
func TestCommitmentBinds(t *testing.T) {
	h := order().Hash()
	c := Commitment([32]byte{1}, h)
	other := h
	other[31] ^= 1
	if c == Commitment([32]byte{2}, h) || c == Commitment([32]byte{1}, other) || c != Commitment([32]byte{1}, h) {
		t.Error("commitment does not bind")
	}
}

func TestCovers(t *testing.T) {
	w := order()
	if !w.Covers([]byte{2, 2}) || w.Covers([]byte{2}) || w.Covers(nil) {
		t.Error("listed conversations")
	}
	if w.Conversations = nil; !w.Covers([]byte{2}) {
		t.Error("all conversations")
	}
}

func TestApprovalEncodings(t *testing.T) {
	one := Approval{"judicial", "judge-1", Ed25519, []byte{1}}
	odd := one
	odd.Kind = 3
	for name, b := range map[string][]byte{
		"cut":          EncodeApprovals([]Approval{one})[:9],
		"unknown kind": EncodeApprovals([]Approval{odd}),
		"too many":     bytes.Repeat(EncodeApprovals([]Approval{one}), maxApprovals+1),
	} {
		if list, err := ParseApprovals(b); err == nil || list != nil {
			t.Errorf("%s: got %v", name, list)
		}
	}
	a := Assertion{[]byte{1}, []byte{2}, []byte{3}}
	if got, err := ParseAssertion(append(a.Encode(), 0)); err == nil || got != nil {
		t.Error("assertion with a trailing byte")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(order().Encode())
	f.Add(Salted(order(), [32]byte{1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if w, err := Parse(b); err == nil && !bytes.Equal(w.Encode(), b) {
			t.Fatalf("%x encodes as %x", b, w.Encode())
		}
		if w, salt, err := ParseSalted(b); err == nil && !bytes.Equal(Salted(w, salt), b) {
			t.Fatalf("%x encodes as %x", b, Salted(w, salt))
		}
	})
}

func FuzzParseDraft(f *testing.F) {
	f.Add(order().JSON())
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := ParseDraft(b)
		if err != nil {
			return
		}
		if _, err := Parse(w.Encode()); err != nil {
			t.Fatalf("draft gives a warrant that does not parse: %v", err)
		}
		w.Explain()
	})
}

func FuzzParseApprovals(f *testing.F) {
	f.Add(EncodeApprovals([]Approval{{"judicial", "judge-1", Ed25519, make([]byte, 64)}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if list, err := ParseApprovals(b); err == nil && !bytes.Equal(EncodeApprovals(list), b) {
			t.Fatalf("%x encodes otherwise", b)
		}
	})
}

func FuzzParseAssertion(f *testing.F) {
	f.Add((&Assertion{make([]byte, 37), []byte(`{"type":"webauthn.get"}`), []byte{1}}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAssertion(b)
		if err != nil {
			return
		}
		if !bytes.Equal(a.Encode(), b) {
			t.Fatalf("%x encodes otherwise", b)
		}
		if a.verify(party{"", []string{""}, true}, [32]byte{}, &charter.WebAuthnKey{Algorithm: charter.ES256}) == nil {
			t.Fatal("no key verifies")
		}
	})
}
