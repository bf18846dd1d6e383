package unseal

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"writ/charter"
	"writ/ledger"
	"writ/notice"
	"writ/warrant"
)

// answer runs a row up to the custodian judicial-1's answer.
func (r refusal) answer(t testing.TB) (*world, *Request, *Authorization, *Refusal) {
	var w *world
	if r.law != nil {
		w = newWorld(t, r.law)
	} else {
		w = newWorld(t)
	}
	if r.before != nil {
		r.before(w)
	}
	if r.parts == nil {
		r.parts = func(w *world) []Compartment { return parcel(w.seal("alice", "c", 1)) }
	}
	parts := r.parts(w)
	var e edits
	if r.edits != nil {
		e = r.edits(w)
	}
	q := w.file(w.order(), parts, e)
	if r.after != nil {
		r.after(w)
	}
	f := w.facts("judicial", "judicial-1")
	if e.facts != nil {
		e.facts(&f)
	}
	a, refusal := Authorize(q, f)
	return w, q, a, refusal
}

func TestRefusals(t *testing.T) {
	if _, _, a, refused := (refusal{}).answer(t); a == nil || refused != nil {
		t.Fatalf("a good request is refused: %+v", refused)
	}
	reached := map[Reason]bool{ReasonObjection: true} // by hand only: TestObjection
	for _, r := range refusals {
		w, q, a, refused := r.answer(t)
		if a != nil || refused == nil || refused.Reason != r.want {
			t.Errorf("%s: got %+v, want reason %d", r.name, refused, r.want)
			continue
		}
		reached[r.want] = true
		if refused.Request != ledger.HashEntry(q.RequestEntry) {
			t.Errorf("%s: refusal of another request", r.name)
		}
		if refused.Custodian == "judicial-1" && refused.Office == "judicial" {
			w.counted(refused.Sign(w.signing("judicial-1")).Entry())
		}
	}
	for reason := range sentences {
		if !reached[reason] {
			t.Errorf("no row reaches reason %d", reason)
		}
	}
}

// TestRefusalOrder: of two things wrong the first in the order of reasons is
// told, as far as both can be wrong at once.
func TestRefusalOrder(t *testing.T) {
	pick := []string{"warrant entry cut", "law that I don't serve", "R15 commitment with another salt", "one office approved",
		"R2 no proof of the request", "notice with another salt"}
	var rows []refusal
	for _, name := range pick {
		rows = append(rows, refusals[slices.IndexFunc(refusals, func(r refusal) bool { return r.name == name })])
	}
	for i, first := range rows {
		for _, second := range rows[i+1:] {
			both := refusal{edits: func(w *world) edits {
				a, b := first.edits(w), second.edits(w)
				return edits{
					approve: func(x *ledger.Warrant) {
						call(b.approve, x)
						call(a.approve, x)
					},
					parcel: func(q *Request) { // the later first: cutting comes last
						call(b.parcel, q)
						call(a.parcel, q)
					},
					facts: func(f *Facts) {
						call(a.facts, f)
						call(b.facts, f)
					},
				}
			}}
			if _, _, _, got := both.answer(t); got == nil || got.Reason != first.want {
				t.Errorf("%s and %s: got %+v", first.name, second.name, got)
			}
		}
	}
}

func call[T any](f func(T), v T) {
	if f != nil {
		f(v)
	}
}

// TestAcceptsAtTheEdge: what is just within scope and limits is authorised.
func TestAcceptsAtTheEdge(t *testing.T) {
	for _, r := range []refusal{
		{name: "opened in the first second of the window",
			parts: func(w *world) []Compartment { return parcel(w.seal("alice", "c", 1)) },
			edits: order(func(w *world, o *warrant.Warrant) { o.WindowStart = w.now.Add(time.Hour).Format(time.RFC3339) })},
		{name: "opened in the last second of the window",
			parts: func(w *world) []Compartment { return parcel(w.seal("alice", "c", 1)) },
			edits: order(func(w *world, o *warrant.Warrant) {
				o.WindowEnd = w.now.Add(time.Hour + time.Second).Format(time.RFC3339)
			})},
		{name: "received", parts: func(w *world) []Compartment { return parcel(w.seal("bob", "c", 1), w.seal("alice", "d", 1)) },
			edits: order(func(_ *world, o *warrant.Warrant) { o.Direction = warrant.SentAndReceived })},
		{name: "listed", edits: order(func(_ *world, o *warrant.Warrant) { o.Conversations = [][]byte{[]byte("c")} })},
		{name: "last of the cap", law: func(c *charter.Charter) { c.Limits.CapSubjects = 2 }, before: (*world).logged},
		{name: "tests don't count", law: func(c *charter.Charter) { c.Limits.CapSubjects = 1 }, before: func(w *world) {
			w.file(w.order(), parcel(w.seal("alice", "x", 1)), edits{order: func(o *warrant.Warrant) {
				o.Flags, o.Subject, o.SubjectAgain = warrant.IsTest, "test.alice", "test.alice"
			}})
		}},
		{name: "emergency", edits: order(func(_ *world, o *warrant.Warrant) { o.Flags, o.NotAfter = warrant.IsEmergency, o.NotBefore+2*day })},
		{name: "just fresh", edits: pack(func(w *world, q *Request) {
			q.WarrantProof = w.log.reproof(q.WarrantProof, w.now.Add(-600*time.Second))
		})},
		{name: "charter amended, not yet in force",
			before: func(w *world) { w.counted(ledger.CharterEntry(w.Sign(amended(w)))) }},
	} {
		if _, _, a, refused := r.answer(t); a == nil {
			t.Errorf("%s: refused: %+v", r.name, refused)
		}
	}
}

// TestCap is R10: every honest custodian refuses warrant cap + 1 from its own
// copy, whatever the docket says.
func TestCap(t *testing.T) {
	w := newWorld(t, func(c *charter.Charter) { c.Limits.CapSubjects = 3 })
	for n := 1; n <= 5; n++ {
		q := w.file(w.order(), parcel(w.seal("alice", "c", uint64(n))), edits{})
		for _, l := range w.access.Leaves() {
			f := w.facts(l.Office, l.Custodian)
			f.View = view(w.copyOf(indexes(len(w.log.entries))...))
			a, refused := Authorize(q, f)
			if over := n > 3; (a == nil) != over || over && refused.Reason != ReasonCap {
				t.Errorf("warrant %d of 3, %s: %+v", n, l.Custodian, refused)
			}
		}
	}
}

func indexes(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

// TestExactlyInScope is R3 over arbitrary requests: authorised if and only if
// every compartment is within the warrant.
func TestExactlyInScope(t *testing.T) {
	w := newWorld(t, func(c *charter.Charter) { c.Limits.CapSubjects = 1_000_000 })
	var universe []*compartment
	for _, account := range roster {
		for _, conversation := range []string{"c", "d"} {
			for epoch := range uint64(4) {
				universe = append(universe, w.seal(account, conversation, epoch))
			}
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		o := w.order()
		o.Direction = rapid.SampledFrom([]warrant.Direction{warrant.Sent, warrant.SentAndReceived}).Draw(rt, "direction")
		if rapid.Bool().Draw(rt, "listed") {
			o.Conversations = [][]byte{[]byte("c")}
		}
		from := rapid.Uint64Range(0, 3).Draw(rt, "from")
		to := rapid.Uint64Range(from+1, 4).Draw(rt, "to")
		hour := func(n uint64) string { return w.now.Add(time.Duration(n) * time.Hour).Format(time.RFC3339) }
		o.WindowStart, o.WindowEnd = hour(from), hour(to)
		o.Reference = rapid.StringMatching(`r[0-9]{12}`).Draw(rt, "reference")
		chosen := rapid.SliceOfNDistinct(rapid.SampledFrom(universe), 1, 3, func(c *compartment) *compartment { return c }).Draw(rt, "chosen")
		inScope := true
		for _, c := range chosen {
			inScope = inScope && (c.label.Account == "alice" || o.Direction == warrant.SentAndReceived) &&
				(o.Conversations == nil || string(c.label.Conversation) == "c") && c.label.Epoch >= from && c.label.Epoch < to
		}
		a, refused := Authorize(w.file(o, parcel(chosen...), edits{}), w.facts("judicial", "judicial-2"))
		if (a != nil) != inScope || inScope && a.Compartments() != len(chosen) {
			rt.Fatalf("in scope %v, answer %+v", inScope, refused)
		}
	})
}

// TestObjection is R33: a custodian may refuse by hand; the refusal is signed
// and counts on the ledger.
func TestObjection(t *testing.T) {
	w := newWorld(t)
	q := w.file(w.order(), parcel(w.seal("alice", "c", 1)), edits{})
	request := ledger.HashEntry(q.RequestEntry)
	refused := Refuse(request, "oversight", "oversight-2", "the grounds name no person")
	w.counted(refused.Sign(w.signing("oversight-2")).Entry())
	if reason, ok := w.book.Refusal(request, "oversight", "oversight-2"); !ok || Reason(reason) != ReasonObjection {
		t.Errorf("the ledger has %d, %v", reason, ok)
	}
	for r := range sentences { // and for the person whose words were asked for
		if strings.HasPrefix(notice.Reason(uint8(r)), "reason ") {
			t.Errorf("a notice has no words for reason %d", r)
		}
	}
	if ReasonObjection.String() != "I object." || Reason(200).String() == "" {
		t.Error("reason without a sentence")
	}
}

// FuzzProof is R2: no proof but the right one lets a request through. The
// fuzzer edits the proof of its own process: part of it, at a place, becomes
// something else.
func FuzzProof(f *testing.F) {
	w := newWorld(f)
	q := w.file(w.order(), parcel(w.seal("alice", "c", 1)), edits{})
	good := q.RequestProof
	facts := w.facts("judicial", "judicial-1")
	f.Add(uint16(0), uint16(0), []byte{})
	f.Add(uint16(30), uint16(1), []byte("3"))
	f.Add(uint16(len(good)), uint16(0), []byte("\n"))
	f.Fuzz(func(t *testing.T, at, cut uint16, put []byte) {
		from := min(int(at), len(good))
		q := *q
		q.RequestProof = slices.Concat(good[:from], put, good[min(from+int(cut), len(good)):])
		if a, _ := Authorize(&q, facts); (a != nil) != bytes.Equal(q.RequestProof, good) {
			t.Fatalf("authorised %v:\n%s", a != nil, q.RequestProof)
		}
	})
}

func FuzzParseRequest(f *testing.F) {
	w := newWorld(f)
	q := w.file(w.order(), parcel(w.seal("alice", "c", 1)), edits{})
	f.Add(q.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, err := ParseRequest(b); err == nil && string(q.Encode()) != string(b) {
			t.Fatal("encodes otherwise")
		}
	})
}
