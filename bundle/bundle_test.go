package bundle

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"writ/charter"
	"writ/internal/wire"
	"writ/mls"
	"writ/warrant"
)

func TestBuildAndVerify(t *testing.T) {
	for _, cs := range []mls.CipherSuite{suite, mls.XWING_CHACHA20POLY1305_SHA256_Ed25519} {
		w := newWorld(t)
		c := w.converse(cs, "lunch", "alice", "bob", "carol")
		one := c.say("alice", "a", "b")
		c.now = c.now.Add(2 * time.Hour)
		c.next()
		two, bob := c.say("alice", "c"), c.say("bob", "d\nline two", "\xff\x00")
		contents := w.open(edits{order: func(o *warrant.Warrant) { o.Direction = warrant.SentAndReceived }}, one, two, bob)
		b, first, err := Build(contents, w.policy, w.Charter.Hash())
		if err != nil {
			t.Fatal(err)
		}
		r, err := Verify(b, w.policy)
		if err != nil || !bytes.Equal(first.JSON(), r.JSON()) {
			t.Fatalf("%v; Build reports\n%s", err, first.JSON())
		}
		if _, _, err := Build(contents, w.policy, charter.Hash{1}); !errors.Is(err, ErrInvalid) {
			t.Errorf("under a law that is not known: %v", err)
		}
		if !r.Complete || len(r.Compartments) != 3 || len(r.Checks) != len(shows) || len(r.Warrant.Approvals) != 2 || len(r.Releases) != 2 {
			t.Errorf("%s", r.JSON())
		}
		got := r.Compartments[2]
		if got.Account != "bob" || got.Device != "phone" || got.Epoch != 2 || got.Leaf != 1 || got.Count != 2 ||
			*got.Messages[0].Text != "d\nline two" || !bytes.Equal(got.Messages[1].Data, []byte("\xff\x00")) || *got.Messages[1].Generation != 1 {
			t.Errorf("%+v", got)
		}
		parsed, err := parse(b)
		if err != nil || !bytes.Equal(parsed.encode(), b) {
			t.Errorf("parsing and encoding again gives other bytes: %v", err)
		}
	}
}

// Charters in two versions, and a custodian's key that came after them.
func TestAmendedLawAndLaterKeys(t *testing.T) {
	w := newWorld(t)
	w.amend()
	period := w.Charter.Period(w.now) + 2
	w.now = time.Unix(int64(w.Charter.PeriodEnd(period-1))+86400, 0).UTC()
	for _, o := range w.Charter.Offices {
		for _, x := range o.Custodians {
			w.keys = append(w.keys, w.log.add(keyEntry(w.Statement(o.ID, x.ID, period))))
		}
	}
	_, contents := w.good()
	r, err := w.verify(contents)
	if err != nil || r.Charter.Version != 2 || !r.Complete {
		t.Fatal(r, err)
	}
	contents.Keys = contents.Keys[1:]
	wants(t, w, contents, checkKeys)
}

// R32: what was sealed under an earlier version is evidence under a warrant of the next,
// released by the custodians it was sealed to, also by one who was struck off since.
func TestSealedUnderAnEarlierVersion(t *testing.T) {
	w := newWorld(t)
	c := w.converse(suite, "lunch", "alice", "bob")
	part := c.say("alice", "hi")
	w.amend(func(next *charter.Charter) {
		old := next.Offices[0].Custodians
		next.Offices = slices.Clone(next.Offices)
		next.Offices[0].Custodians = slices.Clone(old[:1]) // without judicial-2, who releases
		root, gate := *next.Structure, *next.Structure.Children[0]
		gate.Children = gate.Children[:1]
		root.Children = slices.Clone(root.Children)
		root.Children[0], next.Structure = &gate, &root
		next.Keys = slices.DeleteFunc(slices.Clone(next.Keys), func(k *charter.KeyStatement) bool { return k.Custodian == old[1].ID })
	})
	r, err := w.verify(w.open(edits{}, part))
	if err != nil || r.Charter.Version != 2 || !r.Complete || len(r.Compartments) != 1 {
		t.Fatal(r, err)
	}
}

// R25: a bundle with any bit changed fails, whether or not the checksum is
// made right again. One bit of each byte is tried; of keys, sealed shares and the
// directory's proofs, a kilobyte or more each, of every 16th byte. WRIT_ALL_BITS=1
// tries all bits, which takes minutes.
func TestR25AnyChangedBitFails(t *testing.T) {
	w := newWorld(t)
	c := w.converse(suite, "lunch", "alice", "bob")
	alice, bob := c.say("alice", "hi"), c.say("bob", "x")
	junk := c.receive(slices.Clone(alice.Messages[0].Ciphertext))
	junk.Ciphertext[len(junk.Ciphertext)-1] ^= 1
	bob.Messages = append(bob.Messages, junk)
	w.state(&bob)
	contents := w.open(edits{order: func(o *warrant.Warrant) { o.Direction = warrant.SentAndReceived }}, alice, bob)
	b, _, err := Build(contents, w.policy)
	if err != nil {
		t.Fatal(err)
	}
	all := os.Getenv("WRIT_ALL_BITS") != ""
	long := longParts(b, contents)
	var tried atomic.Int64
	try := func(i int) {
		d := bytes.Clone(b)
		switch {
		case all:
			for bit := range 8 {
				tamper(t, w, d, i, 1<<bit)
			}
		case !long[i] || i%16 == 0:
			tamper(t, w, d, i, 1<<(i%8))
		default:
			return
		}
		tried.Add(1)
	}
	var wait sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for k := range workers {
		wait.Go(func() {
			for i := k; i < len(b); i += workers {
				try(i)
			}
		})
	}
	wait.Wait()
	t.Logf("%d of %d bytes", tried.Load(), len(b))
}

// longParts marks the bytes of charter and capsules, most of which are keys, and of
// the directory's proofs, of which keyproof's tests try each byte.
func longParts(b []byte, c Contents) []bool {
	long := make([]bool, len(b))
	for _, part := range [][]byte{c.Charters[0].Entry, c.Compartments[0].Capsule, c.Compartments[1].Capsule, must(warrant.Parse(c.Warrant)).ReaderKey,
		c.Accounts[0], c.Accounts[1]} {
		at := bytes.Index(b, part)
		for i := range part {
			long[at+i] = true
		}
	}
	return long
}

func tamper(t *testing.T, w *world, b []byte, i int, pattern byte) {
	b[i] ^= pattern
	if _, err := Verify(b, w.policy); err == nil {
		t.Errorf("byte %d xor %#02x: verifies", i, pattern)
	}
	if body := len(b) - sha256.Size; i < body {
		right := sha256.Sum256(b[:body])
		if _, err := Verify(append(b[:body:body], right[:]...), w.policy); err == nil {
			t.Errorf("byte %d xor %#02x, checksum made right: verifies", i, pattern)
		}
	}
	b[i] ^= pattern
}

func TestCutOrLongerFails(t *testing.T) {
	w := newWorld(t)
	_, contents := w.good()
	b := contents.encode()
	for _, n := range []int{0, 1, len(magic), len(magic) + 31, len(b) / 2, len(b) - 33, len(b) - 1} {
		for _, d := range [][]byte{b[:n], seal(bytes.Clone(b[:n]))} {
			if _, err := Verify(d, w.policy); !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("%d bytes of %d: %v", n, len(b), err)
			}
		}
	}
	longer := seal(append(bytes.Clone(b[:len(b)-32]), 0))
	if _, err := Verify(longer, w.policy); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("a byte more: %v", err)
	}
}

// R26: a message that somebody took out is missed, wherever it stood.
func TestR26DroppedMessage(t *testing.T) {
	w := newWorld(t)
	_, contents := w.good()
	for i := range 3 {
		d := contents
		d.Compartments = []Compartment{contents.Compartments[0]}
		messages := d.Compartments[0].Messages
		d.Compartments[0].Messages = append(append([]Message{}, messages[:i]...), messages[i+1:]...)
		for name, count := range map[string]uint32{"delivery's count": 3, "the count lowered": 2} {
			d.Compartments[0].Count = count
			_, err := w.verify(d)
			var check *CheckError
			if !errors.As(err, &check) || check.Check != checkStatements {
				t.Fatalf("message %d dropped, %s: %v", i+1, name, err)
			}
			atEnd := i == 2 && count == 2 // then only the signature is wrong
			if errors.Is(err, ErrIncomplete) == atEnd {
				t.Errorf("message %d dropped, %s: %v", i+1, name, err)
			}
			if gap := fmt.Sprintf("missing message %d", i+1); i < 2 && !bytes.Contains([]byte(err.Error()), []byte(gap)) {
				t.Errorf("message %d dropped, %s: the gap is not named: %v", i+1, name, err)
			}
		}
	}
}

// R26: what delivery itself leaves out and denies is a hole in the sender's
// generations, and shown in every form of the report.
func TestR26DroppedByDelivery(t *testing.T) {
	w := newWorld(t)
	c := w.converse(suite, "lunch", "alice", "bob")
	part := c.say("alice", "one", "two", "three", "four", "five")
	part.Messages = []Message{part.Messages[0], part.Messages[3]}
	w.state(&part)
	r, err := w.verify(w.open(edits{}, part))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Compartments[0].Gaps; r.Complete || len(r.Missing) != 1 || len(got) != 1 || got[0] != (Gap{1, 2}) {
		t.Errorf("gaps %v, missing %q", got, r.Missing)
	}
	for name, form := range map[string][]byte{"text": []byte(r.Text()), "JSON": r.JSON(), "HTML": r.HTML()} {
		if !bytes.Contains(form, []byte("messages 2 to 3")) {
			t.Errorf("%s does not show the gap", name)
		}
	}
	w.stateCount(&part, 3)
	r, err = w.verify(w.open(edits{}, part))
	if err != nil || r.Complete || len(r.Missing) != 2 {
		t.Errorf("delivery contradicts itself: %v %v", r, err)
	}
}

// A compartment in which nothing was said.
func TestEmpty(t *testing.T) {
	w := newWorld(t)
	c := w.converse(suite, "lunch", "alice", "bob")
	if r, err := w.verify(w.open(edits{}, c.say("alice"))); err != nil || !r.Complete {
		t.Errorf("empty: %v %v", r, err)
	}
}

// Every list and the whole have a bound.
func TestBounds(t *testing.T) {
	w := newWorld(t)
	_, contents := w.good()
	if _, err := Verify(make([]byte, MaxSize+1), w.policy); !errors.Is(err, wire.ErrMalformed) || !strings.Contains(err.Error(), "at most") {
		t.Errorf("too large: %v", err)
	}
	for name, change := range map[string]func(*Contents){
		"releases":     func(c *Contents) { c.Releases = slices.Repeat(c.Releases, maxReleases) },
		"compartments": func(c *Contents) { c.Compartments = slices.Repeat([]Compartment{{}}, MaxCompartments+1) },
		"messages":     func(c *Contents) { c.Compartments[0].Messages = slices.Repeat([]Message{{}}, MaxMessages+1) },
		"all messages": func(c *Contents) {
			c.Compartments = slices.Repeat([]Compartment{{Messages: make([]Message, MaxMessages)}}, MaxAllMessages/MaxMessages+1)
		},
		"ratchet": func(c *Contents) { c.Compartments[0].Ratchet = make([]byte, maxSecret+1) },
		"aside":   func(c *Contents) { c.Compartments[0].Messages = []Message{{Seq: 1, Aside: true}} },
	} {
		c := contents
		c.Compartments = slices.Clone(c.Compartments)
		change(&c)
		b := c.encode()
		if name == "aside" { // its byte is the one before the empty ciphertext, the count and the statement
			at := bytes.LastIndex(b, []byte{1, 0, 0, 0, 0, 3})
			b[at] = 2
			b = seal(b[:len(b)-32])
		}
		if _, err := parse(b); !errors.Is(err, wire.ErrMalformed) || !strings.Contains(err.Error(), "more than") && name != "ratchet" && name != "aside" {
			t.Errorf("%s: %v", name, err)
		}
	}
	contents.Compartments[0].Messages = []Message{{Ciphertext: make([]byte, MaxSize-readingsRoom)}}
	if _, _, err := Build(contents, w.policy); !errors.Is(err, ErrRefused) {
		t.Errorf("Build of too much: %v", err)
	}
}

// A builder verifies what it built. It takes a roster proof that isn't needed.
func TestBuildVerifies(t *testing.T) {
	w := newWorld(t)
	_, contents := w.good()
	contents.Compartments[0].RosterProof = []byte("what delivery sends along")
	if _, _, err := Build(contents, w.policy); err != nil {
		t.Error(err)
	}
	contents.NoticeSalt[0]++
	if b, _, err := Build(contents, w.policy); b != nil || !errors.Is(err, ErrInvalid) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// A reader who knows the law takes no other's bundle, whole as it may be.
func TestVerifyKnownLaw(t *testing.T) {
	w := newWorld(t)
	_, c := w.good()
	law := w.Charter.Hash()
	if _, err := Verify(c.encode(), w.policy, charter.Hash{1}, law); err != nil {
		t.Error(err)
	}
	var failed *CheckError
	if _, err := Verify(c.encode(), w.policy, charter.Hash{1}); !errors.As(err, &failed) || failed.Check != checkCharter {
		t.Errorf("under a law nobody knows: %v", err)
	}
}
