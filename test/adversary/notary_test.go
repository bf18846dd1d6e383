package adversary

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/bundle"
	"writ/charter"
	"writ/client"
	"writ/examine"
	"writ/internal/testenv"
	"writ/internal/testlaw"
	"writ/ledger"
	"writ/unseal"
	"writ/warrant"
)

// spoken is a conversation of ann and ben in which ann spoke, her capsule, and an
// approved warrant on her that is lodged at the docket.
type spoken struct {
	*testenv.World
	ann     *testenv.Person
	id      client.ConversationID
	capsule []byte
	c       *examine.Case
}

// speak makes a conversation. The warrant is lodged and approved, and published if
// that is wanted.
func speak(t *testing.T, w *testenv.World, publish bool) *spoken {
	t.Helper()
	ann, ben := w.Person("ann"), w.Person("ben")
	s := &spoken{World: w, ann: ann, id: w.Talk(ann, ben)}
	ann.Say(s.id, "the words in question")
	s.capsule = ann.Capsule(s.id, 1, 0)
	if publish {
		s.c = w.Authorise("ann")
		return s
	}
	x, reader := w.Warrant("ann")
	s.c = must(examine.NewCase(x, reader))
	return s
}

// pack packs what custodians are sent, from entries and proofs of the adversary's choice.
func (s *spoken) pack(warrantEntry, warrantProof, requestEntry, requestProof []byte) *examine.Package {
	return &examine.Package{Warrant: s.c.Warrant.Encode(), WarrantSalt: s.c.Salt,
		WarrantEntry: warrantEntry, WarrantProof: warrantProof, RequestEntry: requestEntry, RequestProof: requestProof,
		NoticeSalt: s.c.NoticeSalt, Compartments: []examine.PackagePart{{Capsule: s.capsule}}}
}

// TM-11: the notary changes an entry, or takes the last one away, and asks an honest
// witness for its cosignature in every form that the protocol has.
func TestNotaryRewritesTheLog(t *testing.T) {
	t.Parallel()
	w := small(t)
	for range 3 {
		w.Authorise("ann")
	}
	_, list := w.Book()
	changed, shorter := w.LyingLog(), w.LyingLog()
	changed.Change(2, list[1].Bytes())
	shorter.Drop(1)
	longer := w.LyingLog()
	longer.Change(2, list[1].Bytes())
	longer.Add([]byte("one more"))
	for what, l := range map[string]*testenv.Log{"an entry changed": changed, "an entry changed and more added": longer, "an entry gone": shorter} {
		for old := range uint64(len(list) + 2) {
			for _, proof := range []string{"", l.Consistency(old)} {
				body := fmt.Sprintf("old %d\n%s\n%s", old, proof, l.Checkpoint(time.Now()))
				r := httptest.NewRecorder()
				w.Witness.ServeHTTP(r, httptest.NewRequest(http.MethodPost, "/add-checkpoint", strings.NewReader(body)))
				if r.Code == http.StatusOK {
					breach(t, "%s: the witness cosigns from %d", what, old)
				}
			}
		}
	}
	r := httptest.NewRecorder()
	w.Witness.ServeHTTP(r, httptest.NewRequest(http.MethodGet, "/", nil))
	if !strings.Contains(r.Body.String(), "contradicts size "+strconv.Itoa(len(list))) {
		breach(t, "the witness reports nothing:\n%s", r.Body)
	}
}

// TM-12: notary and a quorum of witnesses lie together and show a custodian another
// history. Who has seen one and is shown the other stops and keeps both.
func TestNotarySplitsTheView(t *testing.T) {
	t.Parallel()
	w := small(t)
	s := speak(t, w, true)
	c := w.Custodians[0]
	p := w.Package(s.c, s.capsule)
	if out, err := w.Ask(c, p); err != nil || out.GetGranted() == nil {
		t.Fatal(out, err)
	}
	s.c.NoticeSalt[0] ^= 2
	later := w.Package(s.c, s.capsule) // logged before, since the docket sees the fork too
	_, list := w.Book()
	other := w.LyingLog()
	other.Drop(len(list) - 1)
	for i := range list {
		other.Add(fmt.Appendf(nil, "another history %d", i))
	}
	w.Gate.Turn(other)
	s.c.NoticeSalt[0] ^= 1 // another request
	warrantEntry, requestEntry := w.Entries(s.c, ledger.DocketSigner(w.Docket), 1, s.capsule)
	at, to := other.Add(warrantEntry), other.Add(requestEntry)
	fresh := time.Now()
	out, err := w.Ask(c, s.pack(warrantEntry, other.Proof(at, fresh, "a", "b"), requestEntry, other.Proof(to, fresh, "a", "b")))
	if err == nil || connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), "forked") {
		breach(t, "a custodian that is shown another history: %v, %v", out, err)
	}
	w.Gate.Turn(nil)
	if out, err = w.Ask(c, later); err == nil || !strings.Contains(err.Error(), "forked") || !strings.Contains(hintOf(err), "its operator") {
		breach(t, "and goes on afterwards: %v, %v", out, err)
	}
}

// TM-62: notary and witnesses let the ledger fork, so that custodians stop, and with them
// the destruction of keys.
func TestForkKeepsNoKeyAlive(t *testing.T) {
	t.Parallel()
	w := testenv.New(t, testenv.Options{Shapes: testlaw.Small, Charter: func(c *charter.Charter) {
		c.Limits.KeyPeriod, c.Limits.MaxEpochAge, c.Limits.Horizon = 3600, 3600, 7200
	}})
	var ahead atomic.Int64
	c := w.Custodians[0]
	config := w.CustodianConfig(c)
	config.MaxAge, config.Now = 24*time.Hour, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	_, client := w.StartCustodian(config)
	until := func(what string, holds func(*api.StatusResponse) bool) {
		t.Helper()
		for end := time.Now().Add(15 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if s := must(client.Status(ctx, &api.StatusRequest{})); holds(s) {
				return
			}
			if time.Now().After(end) {
				breach(t, "%s", what)
				return
			}
		}
	}
	until("it states no key", func(s *api.StatusResponse) bool { return s.Ready && len(s.Periods) == 2 && s.LedgerSize > 1 })
	_, list := w.Book()
	other := w.LyingLog()
	other.Drop(len(list) - 1)
	for i := range len(list) + 1 {
		other.Add(fmt.Appendf(nil, "another history %d", i))
	}
	w.Gate.Turn(other)
	until("it goes on with a ledger that forked", func(s *api.StatusResponse) bool {
		return !s.Ready && s.Forked && strings.Contains(s.Why, "forked")
	})
	period := w.Charter.Period(time.Now())
	ahead.Store(int64(time.Until(time.Unix(int64(w.Charter.DestroyBy(period)), 0))))
	until("a key outlives its horizon since the ledger forked", func(s *api.StatusResponse) bool { return !slices.Contains(s.Periods, period) })
}

// TM-12, TM-16: the notary keeps a history of its own for one custodian alone, under
// a checkpoint that it signed, with the help of one witness, below the quorum; and
// then of a quorum, where the custodian's own copy is the last line.
func TestPrivateHistory(t *testing.T) {
	t.Parallel()
	s := speak(t, small(t), false)
	private := s.LyingLog()
	size := private.Size()
	warrantEntry, requestEntry := s.Entries(s.c, ledger.DocketSigner(s.Docket), size, s.capsule)
	private.Add(warrantEntry)
	private.Add(requestEntry)
	now := time.Now()
	for what, x := range map[string]struct {
		witnesses []string
		reason    unseal.Reason
	}{
		"no witness":        {nil, unseal.ReasonNotLogged},
		"one witness":       {[]string{"b"}, unseal.ReasonNotLogged},
		"one witness twice": {[]string{"b", "b"}, unseal.ReasonNotLogged},
		"a quorum":          {[]string{"a", "b"}, unseal.ReasonLedger},
	} {
		refused(t, s.World, what, s.pack(warrantEntry, private.Proof(size, now, x.witnesses...),
			requestEntry, private.Proof(size+1, now, x.witnesses...)), x.reason)
	}
}

// TM-13: the notary shows the log as it was. A custodian that is shown it long
// enough stops; one that is shown a proof of then refuses it.
func TestNotaryShowsAnOldLog(t *testing.T) {
	t.Parallel()
	w := small(t)
	s := speak(t, w, true)
	p := w.Package(s.c, s.capsule)
	past := w.LyingLog()
	old := time.Now().Add(-2 * time.Duration(w.Charter.Limits.Freshness) * time.Second)
	book, _ := w.Book()
	x, _ := book.Find(ledger.HashEntry(p.WarrantEntry))
	r, _ := book.Find(ledger.HashEntry(p.RequestEntry))
	stale := *p
	stale.WarrantProof, stale.RequestProof = past.Proof(x, old, "a", "b"), past.Proof(r, old, "a", "b")
	refused(t, w, "an old proof", &stale, unseal.ReasonStale)

	config := w.CustodianConfig(w.Custodians[0])
	config.Dir = w.Copy(w.Custodians[0])
	config.MaxAge = time.Second
	_, custodian := w.StartCustodian(config)
	w.Gate.Freeze(true)
	time.Sleep(2500 * time.Millisecond)
	out, err := examine.Ask(ctx, custodian, w.Charter, w.Custodians[0].Office, w.Custodians[0].Custodian, p)
	if connect.CodeOf(err) != connect.CodeUnavailable {
		breach(t, "a custodian that is shown the log of before: %v, %v", out, err)
	}
	if status, err := custodian.Status(ctx, &api.StatusRequest{}); err != nil || status.Ready {
		breach(t, "it calls itself ready: %v, %v", status, err)
	}
}

// TM-14: the notary writes a warrant, a request, and a release of its own making.
// Witnesses cosign, since they read nothing. Custodians don't count them, nor does a bundle.
func TestNotaryMakesUpEntries(t *testing.T) {
	t.Parallel()
	w := small(t)
	s := speak(t, w, false)
	_, own := must2(ed25519.GenerateKey(nil))
	lying := w.LyingLog()
	w.Gate.Turn(lying)
	size := lying.Size()
	warrantEntry, requestEntry := w.Entries(s.c, ledger.DocketSigner(own), size, s.capsule)
	lying.Add(warrantEntry)
	lying.Add(requestEntry)
	now := time.Now()
	refused(t, w, "made-up entries", s.pack(warrantEntry, lying.Proof(size, now, "a", "b"),
		requestEntry, lying.Proof(size+1, now, "a", "b")), unseal.ReasonLedger)
	true1, _ := w.Entries(s.c, ledger.DocketSigner(w.Docket), size+2, s.capsule)
	at := lying.Add(true1)
	s.c.NoticeSalt[0] ^= 1
	_, requestEntry = w.Entries(s.c, ledger.DocketSigner(own), at, s.capsule)
	x := must(ledger.ParseEntry(requestEntry)).Request
	x.Warrant = ledger.HashEntry(true1)
	x.Sign(ledger.DocketSigner(own))
	requestEntry = x.Entry()
	to := lying.Add(requestEntry)
	refused(t, w, "a made-up request under a true warrant", s.pack(true1, lying.Proof(at, now, "a", "b"),
		requestEntry, lying.Proof(to, now, "a", "b")), unseal.ReasonLedger)
	book, _ := w.Book()
	var found []uint64
	for _, f := range book.Findings() {
		found = append(found, f.Index)
	}
	if !slices.Equal(found, []uint64{size, size + 1, to}) {
		breach(t, "an auditor finds the entries %v: %v", found, book.Findings())
	}
}

// TM-14, TM-34: colluders opened off the log, and make up the custodians' intents, or
// leave them out.
func TestEvidenceWithoutIntents(t *testing.T) {
	t.Parallel()
	w := small(t)
	s := speak(t, w, true)
	opened := w.Open(s.c)
	good := testenv.Contents(opened)
	_, own := must2(ed25519.GenerateKey(nil))
	lying := w.LyingLog()
	forged := func(c testlaw.Custodian, key ed25519.PrivateKey) bundle.Proven {
		r := must(ledger.ParseEntry(opened.RequestEntry.Entry)).Request
		x := &ledger.Release{RequestIndex: opened.RequestEntry.Index, Request: ledger.HashEntry(opened.RequestEntry.Entry),
			Office: c.Office, Custodian: c.Custodian, Count: uint32(len(r.Leaves)), Root: r.Root()}
		x.Sign(ledger.CustodianSigner(key))
		at := lying.Add(x.Entry())
		return bundle.Proven{Entry: x.Entry(), Proof: lying.Proof(at, time.Now(), "a", "b")}
	}
	for what, releases := range map[string][]bundle.Proven{
		"none":              nil,
		"of one office":     good.Releases[:1],
		"made up":           {forged(w.Custodians[0], own), forged(w.Custodians[2], own)},
		"one made up":       {good.Releases[0], forged(w.Custodians[2], w.Docket)},
		"one of them twice": {good.Releases[0], good.Releases[0]},
		"the request's own": {{Entry: good.RequestEntry.Entry, Proof: good.RequestEntry.Proof}},
	} {
		bad := good
		bad.Releases = releases
		if _, _, err := bundle.Build(bad, w.Policy); err == nil {
			breach(t, "intents: %s: the bundle verifies", what)
		}
	}
	if !slices.ContainsFunc(good.Releases, func(p bundle.Proven) bool { return len(p.Entry) > 0 }) {
		t.Fatal("no intents")
	}
}

// TM-17, TM-73: what a witness is sent, keeps and can look up is no content, no
// target and no key; and the public commitments don't tell who guesses right.
func TestLogAndWitnessShowNothing(t *testing.T) {
	t.Parallel()
	w := small(t)
	s := speak(t, w, true)
	w.Open(s.c)
	_, list := w.Book()
	var public bytes.Buffer
	for _, e := range list {
		public.Write(e.Bytes())
	}
	public.Write(w.Witness.Saw())
	h := s.c.Warrant.Hash()
	secrets := map[string][]byte{"the subject": []byte("\x03ann"), "the words": []byte("the words in question"), "the grounds": []byte(s.c.Warrant.Necessity),
		"the conversation": s.id[:], "the warrant's hash": h[:], "the reader key": s.c.Warrant.ReaderKey[:32]}
	lacks(t, "the log", public.Bytes(), secrets)
	for _, e := range list { // the adversary guesses the warrant whole, and lacks the salt alone
		if e.Warrant == nil {
			continue
		}
		for what, salt := range map[string][32]byte{"no salt": {}, "the hash as salt": h, "the charter's hash": w.Charter.Hash(), "its id": idSalt(s.c.Warrant.ID[:])} {
			if e.Warrant.Commitment == warrant.Commitment(salt, h) {
				breach(t, "who guesses the warrant sees that it was right, with %s", what)
			}
		}
	}
}

func idSalt(b []byte) (salt [32]byte) {
	copy(salt[:], b)
	return salt
}

// hintOf returns what an error says to do.
func hintOf(err error) string {
	var c *connect.Error
	if !errors.As(err, &c) {
		return ""
	}
	for _, d := range c.Details() {
		if v, err := d.Value(); err == nil {
			if h, ok := v.(*api.Hint); ok {
				return h.Hint
			}
		}
	}
	return ""
}
