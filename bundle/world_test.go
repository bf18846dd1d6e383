package bundle

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"writ/capsule"
	"writ/charter"
	"writ/charter/chartertest"
	"writ/directory"
	"writ/directory/directorytest"
	"writ/internal/wire"
	"writ/ledger"
	"writ/mls"
	"writ/notice"
	"writ/notice/beacon"
	"writ/warrant"
	"writ/warrant/warranttest"
)

// offices: one of two judges and the one overseer open, and approve.
var offices = []chartertest.Shape{
	{Office: "judicial", Need: 1, Custodians: 2, Approve: 1, Approvers: 1},
	{Office: "oversight", Need: 1, Custodians: 1, Approve: 1, Approvers: 1},
}

// world is a law on a witnessed log, and people who talk under it.
type world struct {
	t testing.TB
	*chartertest.World
	log    *testLog
	policy *ledger.Policy
	now    time.Time
	people *directorytest.Directory
	phones map[string]*mls.SignatureKey // by account
	laws   []uint64                     // indexes of the charter's versions
	keys   []uint64                     // and of key statements outside it
	seq    uint64
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, World: chartertest.New("bundle", offices...), log: newTestLog(), now: chartertest.Now, phones: map[string]*mls.SignatureKey{}}
	w.people = directorytest.New(func() time.Time { return w.now })
	w.Charter.Policy = w.log.policyText()
	w.policy = must(ledger.ParsePolicy(w.Charter.Policy))
	w.enact()
	return w
}

// enact logs the charter as it is now.
func (w *world) enact() {
	w.laws = append(w.laws, w.log.add(ledger.CharterEntry(w.Sign(w.Charter))))
}

// amend puts the next version of the charter into force, with changes.
func (w *world) amend(changes ...func(*charter.Charter)) {
	next := *w.Charter
	next.Number, next.Previous, next.LegalBasis = w.Charter.Number+1, w.Charter.Hash(), next.LegalBasis+", amended"
	for _, change := range changes {
		change(&next)
	}
	w.Charter = &next
	w.enact()
}

// conversation is a group of people, each with a device called phone.
type conversation struct {
	*world
	id     []byte
	groups map[string]*mls.Group
	names  []string
	key    map[string]*mls.SignatureKey
	opened time.Time
	public *mls.PublicGroup
}

const suite = mls.X25519_CHACHA20POLY1305_SHA256_Ed25519

func (w *world) config() mls.Config {
	return mls.Config{Authenticate: func(*mls.LeafNode) error { return nil }, Now: func() time.Time { return w.now }, MaxPastEpochs: 4}
}

// converse opens a conversation; the first of names creates it. It is in epoch 1.
func (w *world) converse(cs mls.CipherSuite, id string, names ...string) *conversation {
	w.t.Helper()
	law := w.Charter.Hash()
	c := &conversation{world: w, id: []byte(fmt.Sprintf("%-16s", id)), groups: map[string]*mls.Group{}, names: names,
		key: map[string]*mls.SignatureKey{}, opened: w.now}
	leaf := []mls.Extension{{Type: charter.LeafExtensionType, Data: law[:]}}
	today := mls.Lifetime{NotBefore: uint64(w.now.Unix()) - 3600, NotAfter: uint64(w.now.Unix()) + 86400*100}
	cred := func(name string) mls.Credential {
		return mls.Credential{Identity: directory.Identity{Account: name, Device: "phone"}.Encode()}
	}
	for _, name := range names {
		c.key[name] = w.phone(name)
	}
	first := must(mls.Client{Credential: cred(names[0]), Key: c.key[names[0]], Extensions: leaf, Lifetime: today}.NewGroup(w.config(), c.id, nil))
	c.groups[names[0]] = first
	var packages []*mls.KeyPackage
	var secrets [][]byte
	for _, name := range names[1:] {
		p, s, err := mls.Client{Credential: cred(name), Key: c.key[name], Extensions: leaf, Lifetime: today}.NewKeyPackage(nil)
		if err != nil {
			w.t.Fatal(err)
		}
		packages, secrets = append(packages, p), append(secrets, s)
	}
	commit := must(first.Commit(mls.CommitOptions{Add: packages}))
	must(first.Apply(commit.Staged))
	for i, name := range names[1:] {
		g, _, err := mls.Client{Key: c.key[name]}.Join(w.config(), commit.Welcome, packages[i], secrets[i], nil)
		if err != nil {
			w.t.Fatal(err)
		}
		c.groups[name] = g
	}
	c.follow()
	return c
}

// phone returns the key of an account's phone, which the directory lists.
func (w *world) phone(name string) *mls.SignatureKey {
	w.t.Helper()
	if w.phones[name] == nil {
		key := must(mls.GenerateSignatureKey(suite))
		w.phones[name] = key
		s := &directory.Statement{Account: name, Version: 1, Recovery: directorytest.Recovery(name).Public()}
		s.Add("phone", directory.DeviceKey(key.Public()), uint64(w.now.Unix()))
		s.SignAs("phone", w.signer(name))
		w.people.Force(s)
	}
	return w.phones[name]
}

// signer is an account's phone, which signs statements.
func (w *world) signer(name string) directory.DeviceSigner {
	return directory.DeviceSigner(ed25519.NewKeyFromSeed(w.phones[name].Bytes()[:ed25519.SeedSize]))
}

// revoke takes an account's phone off its list, by the recovery key.
func (w *world) revoke(name string) {
	s := w.people.Chain(name).Draft()
	s.Drop("phone")
	s.SignRecovery(directorytest.Recovery(name))
	w.people.Force(s)
}

// accounts proves whose keys the opened compartments bear.
func (w *world) accounts(parts []Compartment) (proofs [][]byte) {
	names := map[string]bool{}
	for _, c := range parts {
		if c.opened() {
			names[must(capsule.Parse(c.Capsule)).Label().Account] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		proofs = append(proofs, w.people.Proof(name).Encode())
	}
	return proofs
}

// follow lets delivery see the present epoch.
func (c *conversation) follow() {
	g := c.groups[c.names[0]]
	c.public = must(mls.NewPublicGroup(c.config(), must(g.GroupInfo(nil, true)), nil))
}

// next begins another epoch.
func (c *conversation) next() {
	commit := must(c.groups[c.names[0]].Commit(mls.CommitOptions{}))
	for i, name := range c.names {
		g, staged := c.groups[name], commit.Staged
		if i > 0 {
			staged = must(g.Stage(commit.Message))
		}
		must(g.Apply(staged))
	}
	c.opened = c.now
	c.follow()
}

// label is what everybody knows of a sender's compartment in this epoch.
func (c *conversation) label(name string) *capsule.Label {
	g := c.groups[name]
	opened := uint64(c.opened.Unix())
	return &capsule.Label{Suite: uint16(g.Suite()), Conversation: c.id, Epoch: g.Epoch(), Leaf: uint32(g.OwnLeaf()), Account: name, Device: "phone",
		Charter: c.Charter.Hash(), Period: c.Charter.Period(c.opened), Opened: opened, Roster: directory.RosterRoot(c.names)}
}

// statements are the key statements that stand outside the charter.
func (w *world) statements() (list []*charter.KeyStatement) {
	for _, at := range w.keys {
		list = append(list, must(ledger.ParseEntry(w.log.entries[at])).CustodianKey)
	}
	return list
}

// say lets a member speak in this epoch and returns the compartment as it
// would come out of an opening, with delivery's statement.
func (c *conversation) say(name string, texts ...string) Compartment {
	c.t.Helper()
	g, l := c.groups[name], c.label(name)
	s, d, err := g.SenderSecrets(g.Epoch(), g.OwnLeaf())
	if err != nil {
		c.t.Fatal(err)
	}
	sealer := must(capsule.NewSealer(must(c.Charter.Access(l.Period, c.statements()))))
	sealed := must(sealer.Seal(l, s, d))
	out := Compartment{Capsule: sealed.Bytes(), Ratchet: s, SenderData: d, GroupContext: c.public.Context().Bytes(),
		LeafProof: must(c.public.ProveLeaf(g.OwnLeaf())), RosterProof: must(directory.ProveRoster(c.names, "alice"))}
	hash := sealed.Hash()
	for _, text := range texts {
		m, _, err := g.Protect(hash[:], capsule.Content(g.Generation(), []byte(text)))
		if err != nil {
			c.t.Fatal(err)
		}
		out.Messages = append(out.Messages, c.receive(m))
	}
	c.state(&out)
	return out
}

// receive is delivery giving a message its place and time.
func (w *world) receive(ciphertext []byte) Message {
	w.seq++
	return Message{Seq: w.seq, Received: uint64(w.now.UnixMilli()) + 1000*w.seq, Ciphertext: ciphertext}
}

// state is delivery signing what it has of a compartment.
func (w *world) state(c *Compartment) { w.stateCount(c, uint32(len(c.Messages))) }

// stateCount is state with a count that need not be the list's.
func (w *world) stateCount(c *Compartment, count uint32) {
	l := must(capsule.Parse(c.Capsule)).Label()
	var list capsule.MessageList
	for _, m := range c.Messages {
		list.Add(m.Seq, m.Received, sha256.Sum256(m.Ciphertext))
	}
	c.Count = count
	s := &capsule.Statement{Conversation: l.Conversation, Epoch: l.Epoch, Leaf: l.Leaf, Opened: l.Opened,
		Context: sha256.Sum256(c.GroupContext), Count: c.Count, Messages: list.Hash()}
	c.Statement = s.Sign(w.Delivery)
}

// order is a good warrant for what alice sent.
func (w *world) order() *warrant.Warrant {
	now := uint64(w.now.Unix())
	return &warrant.Warrant{ID: warrant.ID{1, 2, 3}, Charter: w.Charter.Hash(), Action: warrant.Disclose, Reference: "Ref. 17/2026", LegalType: "court order", CaseType: "serious-crime",
		Jurisdiction: w.Charter.Jurisdiction, LegalEntity: "Police of Testland", Subject: "alice", SubjectAgain: "alice",
		Direction: warrant.Sent, WindowStart: w.now.AddDate(0, 0, -9).Format(time.RFC3339), WindowEnd: w.now.AddDate(0, 0, 1).Format(time.RFC3339),
		NotBefore: now, NotAfter: now + 20*86400, Necessity: "The messages name the place of the goods.",
		LeastIntrusive: "Observation failed for six weeks.", ReaderKey: w.Mail["judicial-1"].PublicKey().Bytes(), NoticeDue: now + 30*86400,
		Readers: []warrant.Reader{{ID: "somebody", Key: ledger.PersonSigner(keyOf("somebody")).Public(), Mail: w.Mail["judicial-2"].PublicKey().Bytes()}}}
}

// edits change one thing on the way from a good order to contents.
type edits struct {
	order    func(*warrant.Warrant)
	approve  []string // offices
	entry    func(*ledger.Warrant)
	request  func(*ledger.Request)
	release  func(*ledger.Release)
	releases []string // custodians
	loggedAt time.Time
}

// open does the work of docket and custodians: it has the order approved, logs
// warrant entry, request entry and intents, and proves all of them.
func (w *world) open(e edits, parts ...Compartment) Contents {
	w.t.Helper()
	o := w.order()
	if e.order != nil {
		e.order(o)
	}
	if e.approve == nil {
		e.approve = []string{"judicial", "oversight"}
	}
	if e.releases == nil {
		e.releases = []string{"judicial-2", "oversight-1"}
	}
	if e.loggedAt.IsZero() {
		e.loggedAt = w.now.Add(time.Hour)
	}
	c := Contents{Warrant: o.Encode(), WarrantSalt: sha256.Sum256([]byte("warrant salt")), NoticeSalt: sha256.Sum256([]byte("notice salt")),
		Compartments: slices.Clone(parts)}
	at := w.log.add(w.warrantEntry(&c, o, e))
	request := w.requestEntry(&c, at, e)
	requested := w.log.add(request)
	intents := w.intents(requested, request, e)
	for i := range c.Compartments {
		if label := must(capsule.Parse(c.Compartments[i].Capsule)).Label(); label.Account == o.Subject {
			c.Compartments[i].RosterProof = nil
		}
	}
	prove := func(index uint64) Proven { return w.log.proven(index, e.loggedAt, 2) }
	for _, law := range w.laws {
		c.Charters = append(c.Charters, prove(law))
	}
	for _, key := range w.keys {
		c.Keys = append(c.Keys, prove(key))
	}
	c.WarrantEntry, c.RequestEntry, c.Accounts = prove(at), prove(requested), w.accounts(c.Compartments)
	for _, i := range intents {
		c.Releases = append(c.Releases, prove(i))
	}
	return c
}

func (w *world) warrantEntry(c *Contents, o *warrant.Warrant, e edits) []byte {
	x := &ledger.Warrant{Public: o.Public(c.WarrantSalt, w.Charter)}
	for _, office := range e.approve {
		x.Approvals = append(x.Approvals, warranttest.Approve(w.World, x.Public, office, 1))
	}
	x.Sign(ledger.DocketSigner(w.Docket))
	if e.entry != nil {
		e.entry(x)
	}
	return x.Entry()
}

func (w *world) requestEntry(c *Contents, at uint64, e edits) []byte {
	x := &ledger.Request{WarrantIndex: at, Warrant: ledger.HashEntry(w.log.entries[at])}
	for _, p := range c.Compartments {
		x.Leaves = append(x.Leaves, notice.Leaf(capsule.HashOf(p.Capsule), c.NoticeSalt))
	}
	slices.SortFunc(x.Leaves, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	x.Round = w.Charter.Beacon.RoundFrom(must(warrant.Parse(c.Warrant)).NoticeDue)
	x.Timelock = must(beacon.Lock(w.Charter.Beacon.Key, x.Round, c.NoticeSalt))
	x.Sign(ledger.DocketSigner(w.Docket))
	if e.request != nil {
		e.request(x)
	}
	return x.Entry()
}

func (w *world) intents(requested uint64, request []byte, e edits) (list []uint64) {
	parsed := must(ledger.ParseEntry(request))
	for _, id := range e.releases {
		x := &ledger.Release{RequestIndex: requested, Request: parsed.Hash(), Office: id[:len(id)-2], Custodian: id,
			Count: uint32(len(parsed.Request.Leaves)), Root: parsed.Request.Root()}
		x.Sign(ledger.CustodianSigner(w.Custodians[id]))
		if e.release != nil {
			e.release(x)
		}
		list = append(list, w.log.add(x.Entry()))
	}
	return list
}

// good is a small case: what alice said in one epoch.
func (w *world) good() (*conversation, Contents) {
	c := w.converse(suite, "lunch", "alice", "bob")
	return c, w.open(edits{}, c.say("alice", "Noon?", "The usual place.", "Bring the keys."))
}

// verify encodes contents as they are and verifies.
func (w *world) verify(c Contents) (*Report, error) { return Verify(c.encode(), w.policy) }

func keyEntry(k *charter.KeyStatement) []byte { return ledger.CustodianKeyEntry(k) }

// wants verifies contents and wants one check to fail.
func wants(t testing.TB, w *world, c Contents, check string) {
	t.Helper()
	_, err := w.verify(c)
	var failed *CheckError
	if !errors.As(err, &failed) || failed.Check != check {
		t.Errorf("%v, want check %q to fail", err, check)
	}
}

// leafOf is the request's leaf of a capsule under the salt of [world.open].
func leafOf(c []byte) [32]byte {
	return notice.Leaf(capsule.HashOf(c), sha256.Sum256([]byte("notice salt")))
}

// otherStructure doubles the last share of a capsule.
func otherStructure(b []byte) []byte {
	c := must(capsule.Parse(b))
	var w wire.Writer
	w.Uint16(capsule.Version)
	w.Fixed(c.Label().Encode())
	w.Opaque(c.Body())
	w.Vector(func(w *wire.Writer) {
		for _, s := range append(slices.Clone(c.Shares()), c.Shares()[2]) {
			w.Fixed(s.Commitment[:])
			w.Opaque(s.Enc)
			w.Opaque(s.Ciphertext)
		}
	})
	return w.Bytes()
}
