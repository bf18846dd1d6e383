package unseal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"writ/capsule"
	"writ/charter"
	"writ/charter/chartertest"
	"writ/directory"
	"writ/internal/forger"
	"writ/ledger"
	"writ/notice"
	"writ/notice/beacon"
	"writ/warrant"
	"writ/warrant/warranttest"
)

// offices: seven custodians, judicial 2 of 3, oversight 1 of 2, publication 1
// of 2, all three needed; a judge and an overseer approve.
var offices = []chartertest.Shape{
	{Office: "judicial", Need: 2, Custodians: 3, Approve: 1, Approvers: 1},
	{Office: "oversight", Need: 1, Custodians: 2, Approve: 1, Approvers: 1, Token: 1},
	{Office: "publication", Need: 1, Custodians: 2},
	{Office: "bar", Approvers: 1},
}

// world is a charter with all its people, a witnessed log and one copy of it,
// and the members alice and bob.
type world struct {
	t testing.TB
	*chartertest.World
	log    *testLog
	policy *ledger.Policy
	book   *ledger.Book
	now    time.Time
	reader *ReaderKey
	access *charter.Access
	sealer *capsule.Sealer

	noticeSalt [32]byte // of the request filed last
}

var roster = []string{"alice", "bob"}

// newWorld logs a charter, changed by each of change.
func newWorld(t testing.TB, change ...func(*charter.Charter)) *world {
	w := &world{t: t, World: chartertest.New("vault", offices...), log: newTestLog(t), now: chartertest.Now.Add(-time.Hour)}
	w.Charter.Policy = w.log.policyText()
	for _, c := range change {
		c(w.Charter)
	}
	w.policy = must(ledger.ParsePolicy(w.Charter.Policy))
	w.book = ledger.NewBook(w.Charter.Hash())
	w.publish(ledger.CharterEntry(w.Sign(w.Charter)))
	w.now = chartertest.Now
	w.reader = must(NewReaderKey())
	w.access = w.Access()
	w.sealer = must(capsule.NewSealer(w.access))
	return w
}

// publish appends an entry to the log and to the custodians' copy, and returns
// its index.
func (w *world) publish(entry []byte) uint64 {
	w.t.Helper()
	index := w.log.add(entry)
	if err := w.book.Apply(index, entry, w.now); err != nil {
		w.t.Fatal(err)
	}
	return index
}

// counted publishes an entry that must count.
func (w *world) counted(entry []byte) uint64 {
	w.t.Helper()
	index := w.publish(entry)
	if _, ok := w.book.Find(ledger.HashEntry(entry)); !ok {
		w.t.Fatalf("entry does not count: %v", w.book.Findings())
	}
	return index
}

// proof proves an entry under a checkpoint that two witnesses cosigned now.
func (w *world) proof(index uint64) []byte { return w.log.proof(index, w.log.checkpoint(w.now, 2)) }

// keys is the ring of one custodian, named OFFICE-N, for its two periods.
func (w *world) keys(office, custodian string) *Keyring {
	k := NewKeyring(office, custodian)
	first := w.Charter.Period(chartertest.Now)
	for _, period := range []uint32{first, first + 1} {
		key, err := TokenKey(w.Key(custodian, period))
		if err != nil {
			w.t.Fatal(err)
		}
		k.Add(period, key)
	}
	return k
}

func (w *world) facts(office, custodian string) Facts {
	return Facts{Charter: w.Charter.Name, View: view(w.book), Policy: w.policy, Now: w.now, Keys: w.keys(office, custodian)}
}

// view shows a book.
func view(b *ledger.Book) func(func(*ledger.Book)) {
	return func(look func(*ledger.Book)) { look(b) }
}

func (w *world) signing(custodian string) ledger.CustodianSigner {
	return ledger.CustodianSigner(w.Custodians[custodian])
}

// compartment is a capsule with the secrets in it.
type compartment struct {
	label   capsule.Label
	s, d    []byte
	capsule *capsule.Capsule
}

// seal makes the compartment of an account in a conversation's epoch. Epoch n
// was opened n hours after noon.
func (w *world) seal(account, conversation string, epoch uint64) *compartment {
	return w.sealAs(account, conversation, epoch, 0)
}

func (w *world) sealAs(account, conversation string, epoch uint64, flags capsule.Flags) *compartment {
	secret := func(what string) []byte {
		h := sha256.Sum256(fmt.Appendf(nil, "%s %s %s %d", what, account, conversation, epoch))
		return h[:]
	}
	opened := uint64(w.now.Unix()) + 3600*epoch
	c := &compartment{s: secret("s"), d: secret("d"), label: capsule.Label{
		Suite: 0x647a, Conversation: []byte(conversation), Epoch: epoch, Leaf: uint32(slices.Index(roster, account)),
		Account: account, Device: "phone", Charter: w.Charter.Hash(), Period: w.Charter.Period(time.Unix(int64(opened), 0)),
		Opened: opened, Roster: directory.RosterRoot(roster), Flags: flags,
	}}
	var err error
	sealer := w.sealer
	if c.label.Period != w.access.Period() {
		sealer = must(capsule.NewSealer(must(w.Charter.Access(c.label.Period, nil))))
	}
	if c.capsule, err = sealer.Seal(&c.label, c.s, c.d); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// order is a good warrant for what alice sent: a window of ten days, a life of
// twenty.
func (w *world) order() *warrant.Warrant {
	now := uint64(w.now.Unix())
	o := &warrant.Warrant{
		Charter: w.Charter.Hash(), Action: warrant.Disclose, Reference: "Ref. 17/2026", LegalType: "court order", CaseType: "serious-crime",
		Jurisdiction: w.Charter.Jurisdiction, LegalEntity: "Police", Subject: "alice", SubjectAgain: "alice",
		Direction: warrant.Sent, WindowStart: w.now.Format(time.RFC3339), WindowEnd: w.now.AddDate(0, 0, 10).Format(time.RFC3339),
		NotBefore: now, NotAfter: now + 20*86400, Necessity: "because", LeastIntrusive: "tried",
		ReaderKey: w.reader.Public(), Readers: warranttest.Readers(), NoticeDue: now + 30*86400,
	}
	rand.Read(o.ID[:])
	return o
}

// edits change one thing on the way from a good order to a custodian's desk.
type edits struct {
	order   func(*warrant.Warrant)
	entry   func(*ledger.Warrant) // before it is approved
	approve func(*ledger.Warrant) // after
	request func(*ledger.Request)
	parcel  func(*Request)
	facts   func(*Facts)
}

// file does the docket's work: it has the order approved, logs warrant entry
// and request entry, and makes the package for the custodians.
func (w *world) file(o *warrant.Warrant, parts []Compartment, e edits) *Request {
	w.t.Helper()
	if e.order != nil {
		e.order(o)
	}
	q := &Request{Warrant: o.Encode(), Compartments: parts}
	rand.Read(q.WarrantSalt[:])
	rand.Read(q.NoticeSalt[:])
	w.noticeSalt = q.NoticeSalt
	entry := &ledger.Warrant{Public: o.Public(q.WarrantSalt, w.Charter)}
	call(e.entry, entry)
	entry.Approvals = warranttest.Approvals(w.World, entry.Public)
	call(e.approve, entry)
	entry.Sign(ledger.DocketSigner(w.Docket))
	q.WarrantEntry = entry.Entry()
	at := w.publish(q.WarrantEntry)
	request := &ledger.Request{WarrantIndex: at, Warrant: ledger.HashEntry(q.WarrantEntry)}
	for _, p := range parts {
		request.Leaves = append(request.Leaves, notice.Leaf(capsule.HashOf(p.Capsule), q.NoticeSalt))
	}
	slices.SortFunc(request.Leaves, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	w.lock(request, w.Charter.Beacon.RoundFrom(o.NoticeDue), q.NoticeSalt)
	if e.request != nil {
		e.request(request)
	}
	request.Sign(ledger.DocketSigner(w.Docket))
	q.RequestEntry = request.Entry()
	requested := w.publish(q.RequestEntry)
	q.WarrantProof, q.RequestProof = w.proof(at), w.proof(requested)
	if e.parcel != nil {
		e.parcel(q)
	}
	return q
}

// lock gives a request its round and timelock.
func (w *world) lock(r *ledger.Request, round uint64, salt [32]byte) {
	w.t.Helper()
	lock, err := beacon.Lock(w.Charter.Beacon.Key, round, salt)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Round, r.Timelock = round, lock
}

// parcel is the compartments as a request carries them; alice is proven to be
// in the roster of each.
func parcel(cs ...*compartment) (parts []Compartment) {
	for _, c := range cs {
		parts = append(parts, Compartment{c.capsule.Bytes(), must(directory.ProveRoster(roster, "alice"))})
	}
	return parts
}

// release has one custodian authorise, log its intent and release.
func (w *world) release(q *Request, office, custodian string) *Release {
	w.t.Helper()
	f := w.facts(office, custodian)
	a, refusal := Authorize(q, f)
	if refusal != nil {
		w.t.Fatalf("%s: %v (%s)", custodian, refusal.Reason, refusal.Why)
	}
	r, err := NewRelease(a, w.intend(a.Intent(), custodian), f.Keys, w.signing(custodian), w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// intend signs and logs an intent and proves it.
func (w *world) intend(intent *ledger.Release, signer string) *ledger.Included {
	w.t.Helper()
	intent.Sign(w.signing(signer))
	return w.include(intent.Entry())
}

func (w *world) include(entry []byte) *ledger.Included {
	w.t.Helper()
	in, err := w.policy.Include(entry, w.proof(w.publish(entry)), w.now, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return in
}

// shares releases from every custodian and opens with the reader key: by
// capsule, all seven shares.
func (w *world) shares(q *Request) map[capsule.Hash][]Share {
	w.t.Helper()
	all := map[capsule.Hash][]Share{}
	for _, l := range w.access.Leaves() {
		r := w.release(q, l.Office, l.Custodian)
		list, err := OpenRelease(r, w.reader, w.Charter.Custodian(l.Office, l.Custodian).Key)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, s := range list {
			all[s.Capsule] = append(all[s.Capsule], s)
		}
	}
	return all
}

// relabel moves a capsule to another compartment.
func relabel(c *compartment, change func(*capsule.Label)) []byte {
	return forger.Relabel(c.capsule, change)
}

// testLog is a log in memory with three witnesses, who sign what they are told
// at the time they are told. Keys and verifiers are torchwood's.
type testLog struct {
	t         testing.TB
	key       ed25519.PrivateKey
	witnesses []ed25519.PrivateKey
	entries   [][]byte
	hashes    []tlog.Hash
}

const origin = "log.example/writ"

func newTestLog(t testing.TB) *testLog {
	l := &testLog{t: t, key: keyOf("log")}
	for i := range 3 {
		l.witnesses = append(l.witnesses, keyOf(witnessName(i)))
	}
	return l
}

func witnessName(i int) string { return fmt.Sprintf("witness-%d.example", i) }

func keyOf(seed string) ed25519.PrivateKey {
	h := sha256.Sum256([]byte(seed))
	return ed25519.NewKeyFromSeed(h[:])
}

func (l *testLog) policyText() string {
	text := "log " + must(note.NewEd25519VerifierKey(origin, l.key.Public().(ed25519.PublicKey))) + "\n"
	for i, k := range l.witnesses {
		text += fmt.Sprintf("witness w%d %s\n", i, must(torchwood.NewCosignatureSigner(witnessName(i), k)).Verifier())
	}
	return text + "group q 2 w0 w1 w2\nquorum q\n"
}

func (l *testLog) add(entry []byte) uint64 {
	index := int64(len(l.entries))
	l.hashes = append(l.hashes, must(tlog.StoredHashes(index, entry, l))...)
	l.entries = append(l.entries, entry)
	return uint64(index)
}

func (l *testLog) ReadHashes(at []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(at))
	for i, x := range at {
		out[i] = l.hashes[x]
	}
	return out, nil
}

// checkpoint is the signed checkpoint of the log, cosigned by the first n
// witnesses at a time.
func (l *testLog) checkpoint(at time.Time, n int) []byte {
	size := int64(len(l.entries))
	text := torchwood.Checkpoint{Origin: origin, Tree: tlog.Tree{N: size, Hash: must(tlog.TreeHash(size, l))}}.String()
	id := binary.BigEndian.Uint32(keyHash(origin, 1, l.key))
	out := text + "\n" + signatureLine(origin, id, ed25519.Sign(l.key, []byte(text)))
	for i, k := range l.witnesses[:n] {
		v := must(torchwood.NewCosignatureSigner(witnessName(i), k)).Verifier()
		out += signatureLine(v.Name(), v.KeyHash(), cosign(k, text, at))
	}
	return []byte(out)
}

// cosign is cosignature/v1 of c2sp.org/tlog-cosignature. Torchwood's own signer
// takes the time from the clock.
func cosign(k ed25519.PrivateKey, text string, at time.Time) []byte {
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", at.Unix(), text)
	return append(binary.BigEndian.AppendUint64(nil, uint64(at.Unix())), ed25519.Sign(k, []byte(signed))...)
}

func signatureLine(name string, id uint32, sig []byte) string {
	raw := append(binary.BigEndian.AppendUint32(nil, id), sig...)
	return fmt.Sprintf("— %s %s\n", name, base64.StdEncoding.EncodeToString(raw))
}

func keyHash(name string, kind byte, k ed25519.PrivateKey) []byte {
	h := sha256.Sum256(append([]byte(name+"\n"), append([]byte{kind}, k.Public().(ed25519.PublicKey)...)...))
	return h[:4]
}

func (l *testLog) proof(index uint64, checkpoint []byte) []byte {
	path := must(tlog.ProveRecord(int64(len(l.entries)), int64(index), l))
	return torchwood.FormatProof(int64(index), path, checkpoint)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// reproof proves the same entry as an earlier proof under a checkpoint cosigned
// at another time.
func (l *testLog) reproof(proof []byte, at time.Time) []byte {
	var index uint64
	if _, err := fmt.Sscanf(string(proof), "c2sp.org/tlog-proof@v1\nindex %d\n", &index); err != nil {
		l.t.Fatal(err)
	}
	return l.proof(index, l.checkpoint(at, 2))
}

// weakPolicy is satisfied by one witness.
func (l *testLog) weakPolicy() string {
	return strings.Replace(l.policyText(), "group q 2", "group q 1", 1)
}

// reseal puts other content into a release.
func (w *world) reseal(r *Release, content []byte) {
	if err := r.seal(w.order(), content); err != nil {
		w.t.Fatal(err)
	}
}
