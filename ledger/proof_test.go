package ledger

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"writ/internal/wire"
)

var now = time.Unix(1_790_000_000, 0)

const maxAge = 10 * time.Minute

// sample is an entry that parses; nothing here verifies its signature.
func sample(reason uint8) []byte {
	x := &Refusal{Office: "judicial", Custodian: "judicial-1", Reason: reason}
	return x.Entry()
}

func TestPolicyRefuses(t *testing.T) {
	l := newTestLog(t, "log")
	log := "log " + vkeyOf(l.name, typeEd25519, l.key) + "\n"
	w := func(policyName, keyName, seed string) string {
		return "witness " + policyName + " " + vkeyOf(keyName, typeCosignature, keyOf(seed)) + "\n"
	}
	ab := log + w("a", "a.example", "a") + w("b", "b.example", "b")
	for name, c := range map[string]struct {
		text string
		want error
		ours bool // torchwood accepts it, or finds out only at the first checkpoint
	}{
		"empty":                   {"", ErrInvalid, false},
		"no log":                  {w("a", "a.example", "a") + "quorum a\n", ErrInvalid, true},
		"two logs":                {ab + "log " + vkeyOf("x", typeEd25519, keyOf("x")) + "\nquorum a\n", ErrInvalid, true},
		"no quorum":               {ab, ErrInvalid, false},
		"quorum of none":          {ab + "quorum none\n", ErrInvalid, true},
		"two quorums":             {ab + "quorum a\nquorum b\n", ErrInvalid, false},
		"undefined quorum":        {ab + "quorum z\n", ErrInvalid, false},
		"threshold 0":             {ab + "group q 0 a b\nquorum q\n", ErrInvalid, false},
		"threshold above":         {ab + "group q 3 a b\nquorum q\n", ErrInvalid, false},
		"threshold +1":            {ab + "group q +1 a b\nquorum q\n", wire.ErrMalformed, true},
		"one key, two names":      {ab + w("c", "c.example", "a") + "group q 2 a c\nquorum q\n", ErrInvalid, true},
		"one key, two policy":     {ab + w("c", "a.example", "a") + "group q 2 a c\nquorum q\n", ErrInvalid, true},
		"log's key as witness":    {ab + w("c", "c.example", "log") + "quorum c\n", ErrInvalid, true},
		"member twice":            {ab + "group q 2 a a\nquorum q\n", ErrInvalid, true},
		"member of two groups":    {ab + "group p 1 a b\ngroup q 2 p a\nquorum q\n", ErrInvalid, true},
		"group of itself":         {ab + "group q 1 q\nquorum q\n", ErrInvalid, false},
		"name twice":              {ab + "group a 1 b\nquorum a\n", ErrInvalid, false},
		"keyword as name":         {log + w("none", "a.example", "a") + "quorum none\n", wire.ErrMalformed, true},
		"unknown line":            {ab + "quorum a\nunless b\n", wire.ErrMalformed, false},
		"more on a line":          {ab + "quorum a b\n", wire.ErrMalformed, true},
		"log key as witness type": {log + "witness a " + vkeyOf("a", typeEd25519, keyOf("a")) + "\nquorum a\n", ErrUnsupported, false},
		"wrong key id":            {log + "witness a a.example+00000000+" + strings.SplitN(vkeyOf("a", typeCosignature, keyOf("a")), "+", 3)[2] + "\nquorum a\n", ErrInvalid, false},
		"long":                    {ab + strings.Repeat("#", MaxPolicy) + "\nquorum a\n", wire.ErrMalformed, true},
	} {
		if _, err := ParsePolicy(c.text); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if _, err := torchwood.ParsePolicy([]byte(c.text)); (err == nil) != c.ours {
			t.Errorf("%s: torchwood says %v, recorded otherwise", name, err)
		}
	}
}

// Two keys of one name and one key id are one key to a signed note, which
// takes the first.
func TestPolicyKeyIDCollision(t *testing.T) {
	l := newTestLog(t, "log")
	seen := map[uint32][]byte{}
	vkey := func(raw []byte) string {
		return fmt.Sprintf("a.example+%08x+%s", keyID("a.example", raw), base64.StdEncoding.EncodeToString(raw))
	}
	for i := uint64(0); ; i++ {
		raw := append([]byte{typeCosignature}, make([]byte, 32)...)
		binary.BigEndian.PutUint64(raw[9:], i)
		other, ok := seen[keyID("a.example", raw)]
		if !ok {
			seen[keyID("a.example", raw)] = raw
			continue
		}
		text := fmt.Sprintf("log %s\nwitness a %s\nwitness b %s\ngroup q all a b\nquorum q\n",
			vkeyOf(l.name, typeEd25519, l.key), vkey(raw), vkey(other))
		if _, err := ParsePolicy(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("two keys that a note can't tell apart: %v", err)
		}
		return
	}
}

// R2: no proof under a forked, unwitnessed, stale or future checkpoint, from
// one witness counted twice or from an unknown key. Torchwood, which has no
// clock, agrees on all but the times.
func TestCheckpointR2(t *testing.T) {
	l := newTestLog(t, "log")
	entry := sample(1)
	l.add(sample(0))
	at := l.add(entry)
	l.add(sample(2))
	fork := newTestLog(t, "log") // same key, another history
	fork.add(sample(0))
	fork.add(sample(9))
	fork.add(sample(2))
	stranger := newTestLog(t, "another log")
	stranger.entries, stranger.hashes = l.entries, l.hashes
	short := newTestLog(t, "log")
	short.add(sample(0))
	other := *l
	other.name = "log.example/other"
	renamed := strings.Replace(l.text(), l.name, other.name, 1) // under the log's own key
	alias := renamed + "\n" + signatureLine(l.name, l.policy().log.KeyHash(), ed25519.Sign(l.key, []byte(renamed))) +
		cosign("a.example", "a", renamed, now) + cosign("b.example", "b", renamed, now)
	policy := l.policy()
	theirs, err := torchwood.ParsePolicy([]byte(l.policyText()))
	if err != nil {
		t.Fatal(err)
	}
	old, stale, soon, future := now.Add(-maxAge), now.Add(-maxAge-time.Second), now.Add(MaxSkew), now.Add(MaxSkew+time.Second)
	lie := func(s string) string { return strings.Replace(s, "— a.example", "— b.example", 1) }
	for _, c := range []struct {
		name   string
		signed []byte
		ok     bool
		theirs bool
	}{
		{"two of three", l.signed(l.a(now), l.b(now)), true, true},
		{"just young enough", l.signed(l.a(old), l.b(now)), true, true},
		{"a little ahead", l.signed(l.a(soon), l.b(soon)), true, true},
		{"three, one stale", l.signed(cosign("c.example", "c", l.text(), stale), l.a(now), l.b(now)), true, true},
		{"unwitnessed", l.signed(), false, false},
		{"one witness", l.signed(l.a(now)), false, false},
		{"one witness twice", l.signed(l.a(now), l.a(now.Add(time.Second))), false, false},
		{"one witness under another's name", l.signed(l.a(now), lie(l.a(now))), false, false},
		{"unknown witness", l.signed(l.a(now), cosign("z.example", "z", l.text(), now)), false, false},
		{"known name, unknown key", l.signed(l.a(now), cosign("b.example", "z", l.text(), now)), false, false},
		{"one stale", l.signed(l.a(now), l.b(stale)), false, true},
		{"one in the future", l.signed(l.a(now), l.b(future)), false, true},
		{"cosigned another size", l.signed(l.a(now), short.b(now)), false, false},
		{"forked", fork.signed(fork.a(now), fork.b(now)), false, false},
		{"another log's key", stranger.signed(l.a(now), l.b(now)), false, false},
		{"another origin", other.signed(other.a(now), other.b(now)), false, false},
		{"another origin line", []byte(alias), false, false},
		{"not signed by the log", []byte(l.text() + "\n" + l.a(now) + l.b(now)), false, false},
		{"older than the entry", short.signed(short.a(now), short.b(now)), false, false},
	} {
		proof := l.proof(at, c.signed)
		in, err := policy.Include(entry, proof, now, maxAge)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil && (in.Index() != at || in.Checkpoint().Size() != 3 || in.Entry().Refusal.Reason != 1) {
			t.Errorf("%s: wrong result %+v", c.name, in)
		}
		if err := torchwood.VerifyProof(theirs, tlog.RecordHash(entry), proof); (err == nil) != c.theirs {
			t.Errorf("%s: torchwood says %v", c.name, err)
		}
	}
	if _, err := policy.Include(sample(7), l.proof(at, l.signed(l.a(now), l.b(now))), now, maxAge); !errors.Is(err, ErrRefused) {
		t.Errorf("another entry: %v", err)
	}
	if _, err := policy.Include(entry, l.proof(at, l.signed(l.a(stale), l.b(future))), now, 0); err != nil {
		t.Errorf("without an age: %v", err)
	}
}

// A checkpoint's time is when a quorum stood by it, not when its keenest
// witness did.
func TestCheckpointTime(t *testing.T) {
	l := newTestLog(t, "log")
	l.add(sample(0))
	older := now.Add(-3 * time.Minute)
	c, err := l.policy().Checkpoint(l.signed(l.a(now), l.b(older)), now, maxAge)
	if err != nil || !c.Time().Equal(older) {
		t.Fatalf("%v, %v; want %v", c, err, older)
	}
	again, err := l.policy().Checkpoint(c.Signed(), now, maxAge)
	if err != nil || again.Tree() != c.Tree() {
		t.Fatalf("what was accepted is not accepted again: %v", err)
	}
}

// Torchwood's and our signers, formatters and verifiers work on each other's
// output.
func TestProofAgreesWithTorchwood(t *testing.T) {
	l := newTestLog(t, "log")
	for i := range 300 {
		l.add(sample(uint8(i)))
	}
	var signers []note.Signer
	for _, w := range []string{"a", "b"} {
		s, err := torchwood.NewCosignatureSigner(w+".example", keyOf(w))
		if err != nil {
			t.Fatal(err)
		}
		signers = append(signers, s)
	}
	n, err := note.Open(l.signed(), note.VerifierList(l.policy().log))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(n, signers...)
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.policy().Checkpoint(signed, time.Now(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := torchwood.ParsePolicy([]byte(l.policyText()))
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int64{0, 1, 255, 256, 299} {
		path, err := tlog.ProveRecord(300, i, l)
		if err != nil {
			t.Fatal(err)
		}
		ours := FormatProof(uint64(i), path, c)
		if proof := torchwood.FormatProof(i, path, c.Signed()); !bytes.Equal(ours, proof) {
			t.Fatalf("proofs differ:\n%s\n%s", ours, proof)
		}
		if err := torchwood.VerifyProof(theirs, tlog.RecordHash(l.entries[i]), ours); err != nil {
			t.Error(err)
		}
		if _, err := l.policy().Include(l.entries[i], ours, time.Now(), time.Minute); err != nil {
			t.Error(err)
		}
	}
}

// Every flipped bit of a proof or its entry is noticed.
func TestProofEveryBit(t *testing.T) {
	l := newTestLog(t, "log")
	for i := range 5 {
		l.add(sample(uint8(i)))
	}
	entry, policy := l.entries[3], l.policy()
	proof := l.proof(3, l.signed(l.a(now), l.b(now)))
	if _, err := policy.Include(entry, proof, now, 0); err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(proof) {
		p := bytes.Clone(proof)
		p[i/8] ^= 1 << (i % 8)
		if _, err := policy.Include(entry, p, now, 0); err == nil {
			t.Fatalf("bit %d of the proof may change: %q", i, p)
		}
	}
	for i := range 8 * len(entry) {
		e := bytes.Clone(entry)
		e[i/8] ^= 1 << (i % 8)
		if _, err := policy.Include(e, proof, now, 0); err == nil {
			t.Fatalf("bit %d of the entry may change", i)
		}
	}
}

func TestProofOneForm(t *testing.T) {
	l := newTestLog(t, "log")
	l.add(sample(0))
	l.add(sample(1))
	good := string(l.proof(1, l.signed(l.a(now), l.b(now))))
	for name, proof := range map[string]string{
		"extra data":        strings.Replace(good, "index", "extra YQ==\nindex", 1),
		"leading zero":      strings.Replace(good, "index 1", "index 01", 1),
		"unknown signature": good + cosign("z.example", "z", l.text(), now),
		"signature twice":   good + l.a(now),
		"empty":             "",
		"header only":       proofHeader,
	} {
		if _, err := l.policy().Include(l.entries[1], []byte(proof), now, 0); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	l := newTestLog(f, "log")
	f.Add(l.policyText())
	f.Add(strings.Replace(l.policyText(), "group q 2", "group q all", 1))
	f.Add("# nothing\nquorum none\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePolicy(text)
		if err != nil {
			if p != nil {
				t.Fatal("policy beside an error")
			}
			return
		}
		nobody, all := make([]bool, len(p.witnesses)), make([]bool, len(p.witnesses))
		for i := range all {
			all[i] = true
		}
		if p.quorum.satisfied(nobody) || !p.quorum.satisfied(all) {
			t.Fatalf("nobody is a quorum or everybody is none: %q", text)
		}
		if _, err := ParsePolicy(p.String()); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzProof(f *testing.F) {
	l := newTestLog(f, "log")
	l.add(sample(0))
	l.add(sample(1))
	p := l.policy()
	f.Add(l.proof(1, l.signed(l.a(now), l.b(now))))
	f.Add(l.proof(0, l.signed(l.a(now))))
	f.Add(fmt.Appendf(nil, "%sindex 0\n\n%s", proofHeader, l.text()))
	f.Fuzz(func(t *testing.T, proof []byte) {
		for i, e := range l.entries {
			if in, err := p.Include(e, proof, now, maxAge); err == nil && in.Index() != uint64(i) {
				t.Fatalf("entry %d proven at %d", i, in.Index())
			}
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	l := newTestLog(f, "log")
	l.add(sample(0))
	p := l.policy()
	f.Add(l.signed(l.a(now), l.b(now)))
	f.Add(l.signed(l.a(now)))
	f.Fuzz(func(t *testing.T, signed []byte) {
		if c, err := p.Checkpoint(signed, now, maxAge); err == nil && c.Size() != 1 {
			t.Fatalf("forged checkpoint of size %d", c.Size())
		}
	})
}

func BenchmarkInclude(b *testing.B) {
	l := newTestLog(b, "log")
	for i := range 1000 {
		l.add(sample(uint8(i)))
	}
	p, proof := l.policy(), l.proof(500, l.signed(l.a(now), l.b(now)))
	for b.Loop() {
		if _, err := p.Include(l.entries[500], proof, now, maxAge); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(proof)), "B/proof")
}

func TestCosignatures(t *testing.T) {
	l := newTestLog(t, "log")
	l.add(sample(0))
	text := l.text()
	signed := text + "\n" + signatureLine(l.name, l.policy().log.KeyHash(), ed25519.Sign(l.key, []byte(text))) +
		cosign("a.example", "a", text, now) + cosign("b.example", "b", text, now.Add(-time.Hour))
	c, err := l.policy().Checkpoint([]byte(signed), now, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []time.Time{now, now.Add(-time.Hour), {}} {
		if got := l.policy().Cosignatures(c)[i]; !got.Time.Equal(want.Truncate(time.Second)) || got.Witness != l.policy().Witnesses()[i].Name {
			t.Errorf("%d: %+v, want %v", i, got, want)
		}
	}
}

// One witness who dates its cosignature to a year that JSON has not keeps nobody from
// writing down what the others said; it is never fresh either.
func TestTimeBeyondCalendars(t *testing.T) {
	l := newTestLog(t, "log")
	l.add([]byte("entry"))
	now, never := time.Now(), time.Unix(1<<40, 0)
	for _, signed := range [][]byte{l.signed(l.a(now), l.b(never)), l.signed(l.a(never), l.b(never))} {
		c, err := l.policy().Checkpoint(signed, now, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := json.Marshal([]any{c.Time(), l.policy().Cosignatures(c)}); err != nil {
			t.Error(err)
		}
		if _, err := l.policy().Checkpoint(signed, now, time.Minute); err == nil {
			t.Error("it is fresh")
		}
	}
}
