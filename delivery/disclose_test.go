package delivery

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/mod/sumdb/tlog"

	"writ/api"
	"writ/capsule"
	"writ/directory"
	"writ/ledger"
	"writ/mls"
	"writ/warrant"
	"writ/warrant/warranttest"
)

// testLedger is a log of one entry with two witnesses.
type testLedger struct{ log, a, b ed25519.PrivateKey }

func newTestLedger() *testLedger {
	key := func(seed string) ed25519.PrivateKey {
		h := sha256.Sum256([]byte(seed))
		return ed25519.NewKeyFromSeed(h[:])
	}
	return &testLedger{key("log"), key("a"), key("b")}
}

// Signature types of c2sp.org/signed-note.
const (
	typeEd25519     = 1
	typeCosignature = 4
)

func keyID(name string, kind byte, key ed25519.PrivateKey) (raw []byte, id uint32) {
	raw = append([]byte{kind}, key.Public().(ed25519.PublicKey)...)
	h := sha256.Sum256(append([]byte(name+"\n"), raw...))
	return raw, binary.BigEndian.Uint32(h[:])
}

func vkey(name string, kind byte, key ed25519.PrivateKey) string {
	raw, id := keyID(name, kind, key)
	return fmt.Sprintf("%s+%08x+%s", name, id, base64.StdEncoding.EncodeToString(raw))
}

func (l *testLedger) policy() string {
	return fmt.Sprintf("log %s\nwitness a %s\nwitness b %s\ngroup q all a b\nquorum q\n", vkey("log.example", typeEd25519, l.log),
		vkey("a.example", typeCosignature, l.a), vkey("b.example", typeCosignature, l.b))
}

// proof is the proof of the log's only entry under a checkpoint cosigned at a time.
func (l *testLedger) proof(entry []byte, at time.Time) []byte {
	root := tlog.RecordHash(entry)
	text := fmt.Sprintf("log.example\n1\n%s\n", base64.StdEncoding.EncodeToString(root[:]))
	line := func(name string, kind byte, key ed25519.PrivateKey, signature []byte) string {
		_, id := keyID(name, kind, key)
		return fmt.Sprintf("— %s %s\n", name, base64.StdEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, id), signature...)))
	}
	cosign := func(name string, key ed25519.PrivateKey) string {
		m := fmt.Sprintf("cosignature/v1\ntime %d\n%s", at.Unix(), text)
		return line(name, typeCosignature, key, append(binary.BigEndian.AppendUint64(nil, uint64(at.Unix())), ed25519.Sign(key, []byte(m))...))
	}
	return []byte("c2sp.org/tlog-proof@v1\nindex 0\n\n" + text + "\n" +
		line("log.example", typeEd25519, l.log, ed25519.Sign(l.log, []byte(text))) + cosign("a.example", l.a) + cosign("b.example", l.b))
}

// newLedgerWorld is a world whose charter names a ledger.
func newLedgerWorld(t *testing.T) (*world, *testLedger) {
	l := newTestLedger()
	w := newWorld(t)
	w.service.Close()
	w.law.Charter.Policy = l.policy()
	w.config.Laws = FixedLaws(w.law.Charter)
	w.start()
	return w, l
}

// order is a warrant for alice's words, with change made before it is approved and
// logged.
func (w *world) order(l *testLedger, change func(*warrant.Warrant)) *api.DiscloseRequest {
	w.Helper()
	return w.approved(l, change, func(*ledger.Warrant) {})
}

// approved is order with a change of the entry between approval and the docket's
// signature.
func (w *world) approved(l *testLedger, change func(*warrant.Warrant), approved func(*ledger.Warrant)) *api.DiscloseRequest {
	w.Helper()
	now := w.clock.now()
	reader, err := warrant.NewMailKey()
	if err != nil {
		w.Fatal(err)
	}
	o := &warrant.Warrant{ID: warrant.ID(randomBytes(16)), Charter: w.law.Charter.Hash(), Action: warrant.Disclose, Reference: "ref 1", LegalType: "order", CaseType: "serious-crime",
		Jurisdiction: w.law.Charter.Jurisdiction, LegalEntity: "agency", Subject: "alice", SubjectAgain: "alice", Direction: warrant.Sent,
		WindowStart: now.Add(-48 * time.Hour).UTC().Format(time.RFC3339), WindowEnd: now.Add(48 * time.Hour).UTC().Format(time.RFC3339),
		NotBefore: uint64(now.Unix()) - 60, NotAfter: uint64(now.Unix()) + 86400*20, Necessity: "necessary", LeastIntrusive: "nothing less serves",
		ReaderKey: reader.Public(), Readers: warranttest.Readers(), NoticeDue: uint64(now.Unix()) + 86400*10}
	change(o)
	salt := [32]byte(randomBytes(32))
	entry := &ledger.Warrant{Public: o.Public(salt, w.law.Charter)}
	entry.Approvals = warranttest.Approvals(w.law, entry.Public)
	approved(entry)
	entry.Sign(ledger.DocketSigner(w.law.Docket))
	return &api.DiscloseRequest{Warrant: o.Encode(), WarrantSalt: salt[:],
		WarrantEntry: entry.Entry(), WarrantProof: l.proof(entry.Entry(), now)}
}

// disclosed follows all pages, putting continued compartments together.
func (p *phone) disclosed(r *api.DiscloseRequest) (list []*api.Compartment, pages int) {
	p.Helper()
	for {
		pages++
		page, err := p.api().Disclose(context.Background(), r)
		if err != nil {
			p.Fatal(err)
		}
		for _, c := range page.Compartments {
			if n := len(list); c.Account == "" && n > 0 && bytes.Equal(list[n-1].Conversation, c.Conversation) && list[n-1].Epoch == c.Epoch && list[n-1].Leaf == c.Leaf {
				list[n-1].Messages = append(list[n-1].Messages, c.Messages...)
				continue
			}
			list = append(list, c)
		}
		if len(page.Next) == 0 {
			return list, pages
		}
		r.After = page.Next
	}
}

// verify checks everything that a compartment says against what can be verified
// without delivery.
func (w *world) verify(c *api.Compartment) {
	w.Helper()
	context, err := mls.ParseGroupContext(c.GroupContext)
	if err != nil || context.Epoch != c.Epoch || !bytes.Equal(context.GroupID, c.Conversation) {
		w.Fatalf("group context: %v, epoch %d, want %d", err, context.Epoch, c.Epoch)
	}
	leaf, err := mls.VerifyLeafProof(context.Suite, context.TreeHash, mls.LeafIndex(c.Leaf), c.LeafProof)
	if err != nil {
		w.Fatal(err)
	}
	id := directory.Identity{Account: c.Account, Device: c.Device}
	if !bytes.Equal(leaf.Credential.Identity, id.Encode()) {
		w.Errorf("the leaf is of %q", leaf.Credential.Identity)
	}
	if err := directory.VerifyRoster(directory.RosterRoot(c.Roster), "alice", c.RosterProof); err != nil {
		w.Error(err)
	}
	var messages capsule.MessageList
	for _, m := range c.Messages {
		messages.Add(m.Seq, m.ReceivedMs, sha256.Sum256(m.Body))
	}
	stated := capsule.Statement{Conversation: c.Conversation, Epoch: c.Epoch, Leaf: c.Leaf, Opened: c.Opened,
		Context: sha256.Sum256(c.GroupContext), Count: c.Count, Messages: messages.Hash()}
	if !stated.Verify(w.law.Charter.Delivery, c.Statement) || int(c.Count) != len(c.Messages) {
		w.Errorf("count %d of %d messages, or the statement's signature", c.Count, len(c.Messages))
	}
	for _, m := range c.Messages {
		outside, err := mls.Inspect(m.Body)
		if err != nil || outside.Epoch != c.Epoch || len(c.Capsules) != 1 {
			w.Fatal(err, len(c.Capsules))
		}
		sealed, err := capsule.Parse(c.Capsules[0])
		if err != nil {
			w.Fatal(err)
		}
		if h := sealed.Hash(); !bytes.Equal(h[:], outside.AuthenticatedData) || sealed.Label().Roster != directory.RosterRoot(c.Roster) || sealed.Label().Opened != c.Opened {
			w.Error("the message names another capsule, or its label says otherwise")
		}
	}
}

func TestDiscloseScope(t *testing.T) {
	w, l := newLedgerWorld(t)
	alice, bob, conv := w.pair()
	other := bob.create() // alice is not in it
	bob.commit(other, mls.CommitOptions{})
	bob.say(other, bob.deposit(other), "to myself")
	const epochs = 40 // in the first 20 both speak; each is three hours
	for i := range epochs {
		if i > 0 {
			w.clock.pass(3 * time.Hour)
			alice.login()
			alice.commit(conv, mls.CommitOptions{})
		}
		hash := alice.deposit(conv)
		alice.say(conv, hash, "a")
		alice.say(conv, hash, "b")
		if i < 20 {
			bob.login()
			bob.follow(conv)
			bob.say(conv, bob.deposit(conv), "c")
		}
	}
	all := func(o *warrant.Warrant) {
		o.WindowStart = w.clock.now().Add(-10 * 24 * time.Hour).UTC().Format(time.RFC3339)
	}
	list, pages := alice.disclosed(w.order(l, all))
	if len(list) != epochs || pages != 2 {
		t.Errorf("sent: %d compartments on %d pages, want %d on 2", len(list), pages, epochs)
	}
	for i, c := range list {
		if c.Account != "alice" || c.Epoch != uint64(i+1) || c.Count != 2 {
			t.Errorf("compartment %d is %s's of epoch %d with %d messages", i, c.Account, c.Epoch, c.Count)
		}
		w.verify(c)
	}
	both, _ := alice.disclosed(w.order(l, func(o *warrant.Warrant) { all(o); o.Direction = warrant.SentAndReceived }))
	if len(both) != epochs+20 || !slices.ContainsFunc(both, func(c *api.Compartment) bool { return c.Account == "bob" }) {
		t.Errorf("sent and received: %d compartments, want %d", len(both), epochs+20)
	}
	for _, c := range both {
		w.verify(c)
		if string(c.Conversation) == other {
			t.Error("a conversation without the subject")
		}
	}
	// Epochs open every three hours at the full hour: a window of (-10 h, -4 h) from now has two of them.
	some, _ := alice.disclosed(w.order(l, func(o *warrant.Warrant) {
		o.WindowStart = w.clock.now().Add(-10 * time.Hour).UTC().Format(time.RFC3339)
		o.WindowEnd = w.clock.now().Add(-4 * time.Hour).UTC().Format(time.RFC3339)
	}))
	if len(some) != 2 || some[0].Epoch != epochs-3 || some[1].Epoch != epochs-2 {
		t.Errorf("window: %v", some)
	}
	for name, change := range map[string]func(*warrant.Warrant){
		"another conversation": func(o *warrant.Warrant) { all(o); o.Conversations = [][]byte{randomBytes(16)} },
		"nobody":               func(o *warrant.Warrant) { all(o); o.Subject, o.SubjectAgain = "nobody", "nobody" },
		"before it all": func(o *warrant.Warrant) {
			o.WindowStart = w.clock.now().Add(-20 * 24 * time.Hour).UTC().Format(time.RFC3339)
			o.WindowEnd = w.clock.now().Add(-15 * 24 * time.Hour).UTC().Format(time.RFC3339)
		},
	} {
		if list, _ := alice.disclosed(w.order(l, change)); len(list) != 0 {
			t.Errorf("%s: %d compartments", name, len(list))
		}
	}
}

// Nobody's words are disclosed by a warrant under a law that is not theirs, nor those
// of a time when the subject was not there.
func TestDiscloseSparesOthers(t *testing.T) {
	w, l := newLedgerWorld(t)
	w.service.Close()
	w.config.Laws = FixedLaws(w.law.Charter, plainLaw)
	w.start()
	alice, bob, conv := w.pair()
	carol := w.phone("carol", "phone", nil)
	carol.law = plainLaw
	carol.stock(1)
	alice.say(conv, alice.deposit(conv), "1")
	alice.commit(conv, mls.CommitOptions{Add: alice.take("carol")})
	carol.join()
	bob.follow(conv)
	alice.say(conv, alice.deposit(conv), "2")
	bob.say(conv, bob.deposit(conv), "3")
	carol.say(conv, nil, "under a law without access")
	bob.commit(conv, mls.CommitOptions{Remove: []mls.LeafIndex{0}})
	bob.say(conv, bob.deposit(conv), "without alice")
	list, _ := bob.disclosed(w.order(l, func(o *warrant.Warrant) { o.Direction = warrant.SentAndReceived }))
	var got []string
	for _, c := range list {
		got = append(got, fmt.Sprint(c.Account, " ", c.Epoch))
	}
	if want := []string{"alice 1", "alice 2", "bob 2"}; !slices.Equal(got, want) {
		t.Errorf("disclosed %q, want %q", got, want)
	}
}

// A compartment of more messages than fit on a page continues on the next.
func TestDiscloseContinues(t *testing.T) {
	w, l := newLedgerWorld(t)
	alice, _, conv := w.pair()
	hash := alice.deposit(conv)
	const n = 100
	for range n {
		alice.say(conv, hash, string(randomBytes(60<<10)))
	}
	list, pages := alice.disclosed(w.order(l, func(*warrant.Warrant) {}))
	if len(list) != 1 || len(list[0].Messages) != n || pages != 2 {
		t.Fatalf("%d compartments on %d pages", len(list), pages)
	}
	w.verify(list[0])
}

// R2 and R19, delivery's part: nothing without a valid warrant that is on the ledger.
func TestDiscloseRefused(t *testing.T) {
	w, l := newLedgerWorld(t)
	alice, _, conv := w.pair()
	alice.say(conv, alice.deposit(conv), "x")
	same := func(*warrant.Warrant) {}
	other := w.order(l, func(o *warrant.Warrant) { o.Subject, o.SubjectAgain = "bob", "bob" })
	otherEntry, err := ledger.ParseEntry(other.WarrantEntry)
	if err != nil {
		t.Fatal(err)
	}
	one := w.approved(l, same, func(x *ledger.Warrant) { x.Approvals = x.Approvals[:1] })
	none := w.approved(l, same, func(x *ledger.Warrant) { x.Approvals = nil })
	replayed := w.approved(l, same, func(x *ledger.Warrant) { x.Approvals = otherEntry.Warrant.Approvals })
	untrue := w.approved(l, same, func(x *ledger.Warrant) { x.CaseType = "missing-person" }) // approved as it is, logged as another
	forged := w.order(l, same)
	entry, err := ledger.ParseEntry(forged.WarrantEntry)
	if err != nil {
		t.Fatal(err)
	}
	entry.Warrant.Sign(ledger.DocketSigner(w.law.Delivery))
	forged.WarrantEntry = entry.Warrant.Entry()
	forged.WarrantProof = l.proof(forged.WarrantEntry, w.clock.now())
	for name, c := range map[string]struct {
		change func(*api.DiscloseRequest)
		code   connect.Code
	}{
		"no warrant":          {func(r *api.DiscloseRequest) { r.Warrant = nil }, connect.CodeInvalidArgument},
		"one approval":        {func(r *api.DiscloseRequest) { become(r, one) }, connect.CodePermissionDenied},
		"no approvals":        {func(r *api.DiscloseRequest) { become(r, none) }, connect.CodePermissionDenied},
		"another's approvals": {func(r *api.DiscloseRequest) { become(r, replayed) }, connect.CodePermissionDenied},
		"an untrue entry":     {func(r *api.DiscloseRequest) { become(r, untrue) }, connect.CodePermissionDenied},
		"no proof":            {func(r *api.DiscloseRequest) { r.WarrantProof = nil }, connect.CodePermissionDenied},
		"another's entry":     {func(r *api.DiscloseRequest) { r.WarrantEntry, r.WarrantProof = other.WarrantEntry, other.WarrantProof }, connect.CodePermissionDenied},
		"another's proof":     {func(r *api.DiscloseRequest) { r.WarrantProof = other.WarrantProof }, connect.CodePermissionDenied},
		"wrong salt":          {func(r *api.DiscloseRequest) { r.WarrantSalt[0] ^= 1 }, connect.CodePermissionDenied},
		"no salt":             {func(r *api.DiscloseRequest) { r.WarrantSalt = nil }, connect.CodeInvalidArgument},
		"stale checkpoint": {func(r *api.DiscloseRequest) {
			r.WarrantProof = l.proof(r.WarrantEntry, w.clock.now().Add(-11*time.Minute))
		}, connect.CodePermissionDenied},
		"not the docket's": {func(r *api.DiscloseRequest) { become(r, forged) }, connect.CodePermissionDenied},
		"bad cursor":       {func(r *api.DiscloseRequest) { r.After = []byte("x") }, connect.CodeInvalidArgument},
	} {
		r := w.order(l, same)
		c.change(r)
		_, err := alice.api().Disclose(context.Background(), r)
		refusedWith(t, name, err, c.code)
	}
	r := w.order(l, same)
	if list, _ := alice.disclosed(r); len(list) != 1 {
		t.Errorf("unchanged: %d compartments", len(list))
	}
	w.clock.pass(21 * 24 * time.Hour)
	r.WarrantProof = l.proof(r.WarrantEntry, w.clock.now())
	_, err = alice.api().Disclose(context.Background(), r)
	refusedWith(t, "after the warrant's life (R19)", err, connect.CodePermissionDenied)
}

func become(r, other *api.DiscloseRequest) {
	r.Warrant, r.WarrantSalt, r.WarrantEntry, r.WarrantProof = other.Warrant, other.WarrantSalt, other.WarrantEntry, other.WarrantProof
}
