// Package testlaw is a law at work, for tests: a real notary, two real
// witnesses, a charter on the ledger, and the directories of its custodians,
// each with its own key file. Services are started by the tests.
package testlaw

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"writ/api"
	"writ/capsule"
	"writ/charter"
	"writ/charter/chartertest"
	"writ/custodian"
	"writ/directory"
	"writ/docket"
	"writ/follower"
	"writ/ledger"
	"writ/notary"
	"writ/replica"
	"writ/unseal"
	"writ/warrant"
	"writ/warrant/warranttest"
	"writ/witness"
)

// Passphrase opens every key file.
const Passphrase = "correct horse battery staple"

// Agency is the name of the one agency.
const Agency = "police"

// Small is two offices: any one of two judicial custodians and the one of
// oversight; one approver each.
var Small = []chartertest.Shape{
	{Office: "judicial", Need: 1, Custodians: 2, Approve: 1, Approvers: 1},
	{Office: "oversight", Need: 1, Custodians: 1, Approve: 1, Approvers: 1},
}

// World is the law at work.
type World struct {
	*chartertest.World
	T          testing.TB
	Policy     *ledger.Policy
	Ledger     string // URL of the notary, behind Gate
	Gate       *Gate
	Witness    *Gate // in front of witness b, without which there is no quorum
	Custodians []Custodian
	AgencyKey  ed25519.PrivateKey
	LogKey     string            // the notary's signing key, as package note writes it
	Cosigners  map[string]string // the witnesses' keys, by name, as package witness writes them

	urls   map[string]string // of the witnesses, by name
	logDir string            // the notary's
	notary *notary.Server
}

// Custodian is a directory with a key file.
type Custodian struct {
	custodian.Names
	Dir    string
	Public *custodian.Public
}

// Who returns "office/custodian".
func (c Custodian) Who() string { return c.Office + "/" + c.Custodian }

// New makes a world whose charter change has adjusted, and logs the charter.
func New(t testing.TB, change func(*charter.Charter), shapes ...chartertest.Shape) *World {
	t.Helper()
	w := &World{World: chartertest.New("testlaw", shapes...), T: t, Cosigners: map[string]string{}, urls: map[string]string{}}
	_, w.AgencyKey, _ = ed25519.GenerateKey(nil)
	c := w.Charter
	c.Review = uint64(time.Now().Add(365 * 24 * time.Hour).Unix())
	c.Limits.Freshness = 60
	if change != nil {
		change(c)
	}
	w.createKeys()
	signer, vkey, err := note.GenerateKey(rand.Reader, "log.test/writ")
	w.must(err)
	text := "log " + vkey + "\n" + w.AddWitness("a", vkey) + w.AddWitness("b", vkey)
	c.Policy = text + "group q all a b\nquorum q\n"
	w.LogKey = signer
	w.Policy, err = ledger.ParsePolicy(c.Policy)
	w.must(err)
	w.logDir = t.TempDir()
	w.startNotary(w.Policy)
	w.Gate = &Gate{to: w.notary}
	srv := httptest.NewServer(w.Gate)
	t.Cleanup(srv.Close)
	w.Ledger = srv.URL
	w.Add(ledger.CharterEntry(w.Sign(c)))
	return w
}

// createKeys gives every custodian of the charter a directory and keys of its own.
func (w *World) createKeys() {
	c := w.Charter
	c.Keys = nil
	for i := range c.Offices {
		o := &c.Offices[i]
		for j := range o.Custodians {
			k := Custodian{Names: custodian.Names{Charter: c.Name, Office: o.ID, Custodian: o.Custodians[j].ID}, Dir: w.T.TempDir()}
			var err error
			k.Public, err = custodian.CreateKeys(k.Dir, []byte(Passphrase), 5, k.Names, charter.XWing, c.Period(time.Now()))
			w.must(err)
			o.Custodians[j] = k.Public.Custodian
			c.Keys = append(c.Keys, k.Public.Statements...)
			w.Custodians = append(w.Custodians, k)
		}
	}
}

// AddWitness starts a witness of a log under a new key, and returns its line in a policy.
// The gate in front of the last one is Witness.
func (w *World) AddWitness(name, log string) (line string) {
	w.T.Helper()
	text, err := witness.GenerateKey(name+".test", rand.Reader)
	w.must(err)
	key, err := witness.ParseKey(text)
	w.must(err)
	s, err := witness.New(witness.Config{Dir: w.T.TempDir(), Key: key, Logs: []string{log}})
	w.must(err)
	w.Witness = &Gate{to: s}
	srv := httptest.NewServer(w.Witness)
	w.T.Cleanup(func() { srv.Close(); s.Close() })
	w.Cosigners[name], w.urls[name] = text, srv.URL
	return fmt.Sprintf("witness %s %s\n", name, s.VKey())
}

func (w *World) startNotary(policy *ledger.Policy) {
	w.T.Helper()
	s, err := notary.New(context.Background(), notary.Config{Dir: w.logDir, Signer: w.LogKey, Policy: policy, Witnesses: w.urls,
		FirstCharters: []charter.Hash{w.Charter.Hash()}, Interval: 100 * time.Millisecond, Republish: 500 * time.Millisecond})
	w.must(err)
	w.notary = s
	w.T.Cleanup(func() { endNotary(s) })
}

// endNotary waits until what was admitted is published, if that takes no two seconds.
func endNotary(s *notary.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	s.Close(ctx)
}

// RestartNotary ends the notary and starts it on its log with another policy.
func (w *World) RestartNotary(policy *ledger.Policy) {
	w.T.Helper()
	w.Gate.Shut(true)
	endNotary(w.notary)
	w.startNotary(policy)
	w.Gate.Turn(w.notary)
	w.Gate.Shut(false)
}

func (w *World) must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// Follower returns a reader of the log.
func (w *World) Follower() *follower.Follower {
	f, err := follower.New(follower.Config{URL: w.Ledger, Policy: w.Policy, MaxAge: time.Minute})
	w.must(err)
	return f
}

// Replica opens a copy of the log that reads when it is told to.
func (w *World) Replica() *replica.Replica {
	w.T.Helper()
	r, err := replica.Open(context.Background(), replica.Config{Path: filepath.Join(w.T.TempDir(), "ledger.db"), URL: w.Ledger,
		Policy: w.Policy, Charters: []charter.Hash{w.Charter.Hash()}, MaxAge: time.Minute})
	w.must(err)
	w.T.Cleanup(func() { r.Close() })
	return r
}

// Add puts an entry on the log.
func (w *World) Add(entry []byte) uint64 {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	index, err := w.Follower().Add(ctx, entry)
	w.must(err)
	return index
}

// Book replays the log and returns its entries too.
func (w *World) Book() (*ledger.Book, []*ledger.Entry) {
	w.T.Helper()
	b := ledger.NewBook(w.Charter.Hash())
	var list []*ledger.Entry
	_, err := w.Follower().Update(context.Background(), 0, func(index uint64, entry []byte, seen time.Time) error {
		if e, err := ledger.ParseEntry(bytes.Clone(entry)); err == nil {
			list = append(list, e)
		}
		return b.Apply(index, entry, seen)
	})
	w.must(err)
	return b, list
}

// CustodianConfig returns how a custodian is opened.
func (w *World) CustodianConfig(c Custodian) custodian.Config {
	return custodian.Config{Dir: c.Dir, Passphrase: []byte(Passphrase), WorkFactor: 5, Ledger: w.Ledger, Policy: w.Policy,
		Charters: []charter.Hash{w.Charter.Hash()}, MaxAge: time.Minute, Poll: 200 * time.Millisecond, LogWait: 10 * time.Second}
}

// StartCustodian runs a custodian in this process.
func (w *World) StartCustodian(config custodian.Config) (*custodian.Server, api.CustodianClient) {
	w.T.Helper()
	s, err := custodian.Open(context.Background(), config)
	w.must(err)
	srv := httptest.NewServer(s.Handler())
	w.T.Cleanup(w.run(s.Run, srv.Close, s.Close))
	return s, api.NewCustodianClient(http.DefaultClient, srv.URL)
}

// RunCustodian runs a custodian that nobody calls, and returns what ends it.
func (w *World) RunCustodian(config custodian.Config) (s *custodian.Server, end func()) {
	w.T.Helper()
	s, err := custodian.Open(context.Background(), config)
	w.must(err)
	end = w.run(s.Run, func() {}, s.Close)
	w.T.Cleanup(end)
	return s, end
}

// StartDocket runs a docket in this process, for the one agency.
func (w *World) StartDocket(dir string) (*docket.Server, api.DocketClient) {
	w.T.Helper()
	return w.StartDocketFor(dir, map[string]ed25519.PrivateKey{Agency: w.AgencyKey})
}

// StartDocketFor runs a docket for agencies with these keys.
func (w *World) StartDocketFor(dir string, keys map[string]ed25519.PrivateKey) (*docket.Server, api.DocketClient) {
	w.T.Helper()
	agencies := map[string]docket.AgencyKey{}
	for name, key := range keys {
		agencies[name] = docket.AgencyKey(key.Public().(ed25519.PublicKey))
	}
	s, err := docket.Open(context.Background(), docket.Config{Dir: dir, Key: ledger.DocketSigner(w.Docket), Ledger: w.Ledger,
		Agencies: agencies, Policy: w.Policy, Charters: []charter.Hash{w.Charter.Hash()}, MaxAge: time.Minute, Poll: 200 * time.Millisecond, LogWait: 5 * time.Second})
	w.must(err)
	srv := httptest.NewServer(s.Handler())
	w.T.Cleanup(w.run(s.Run, srv.Close, s.Close))
	client := api.NewDocketClient(http.DefaultClient, srv.URL)
	return s, client
}

// run starts a service's loop and returns what ends the service.
func (w *World) run(loop func(context.Context) error, stop func(), closing func() error) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- loop(ctx) }()
	var once sync.Once
	return func() {
		once.Do(func() {
			stop()
			cancel()
			if err := <-ended; err != nil {
				w.T.Log(err)
			}
			if err := closing(); err != nil {
				w.T.Error(err)
			}
		})
	}
}

// Warrant returns a warrant on what a subject sent in the last day, and the
// reader key it names.
func (w *World) Warrant(subject string) (*warrant.Warrant, *unseal.ReaderKey) {
	w.T.Helper()
	reader, err := unseal.NewReaderKey()
	w.must(err)
	now := time.Now()
	x := &warrant.Warrant{Charter: w.Charter.Hash(), Action: warrant.Disclose, Reference: "AZ 12/26", LegalType: "court order",
		CaseType: w.Charter.CaseTypes[0], Jurisdiction: w.Charter.Jurisdiction, LegalEntity: "Police of Testland",
		Subject: subject, SubjectAgain: subject, Direction: warrant.Sent,
		WindowStart: now.Add(-24 * time.Hour).UTC().Format(time.RFC3339), WindowEnd: now.Add(time.Hour).UTC().Format(time.RFC3339),
		NotBefore: uint64(now.Unix()) - 60, NotAfter: uint64(now.Unix()) + 3600,
		Necessity: "the necessity of it", LeastIntrusive: "nothing milder helps", ReaderKey: reader.Public(), Readers: warranttest.Readers(),
		NoticeDue: uint64(now.Add(48 * time.Hour).Unix())}
	rand.Read(x.ID[:])
	return x, reader
}

// Entry returns a warrant's entry, approved and not yet signed.
func (w *World) Entry(x *warrant.Warrant, salt [32]byte) *ledger.Warrant {
	p := x.Public(salt, w.Charter)
	return &ledger.Warrant{Public: p, Approvals: warranttest.Approvals(w.World, p)}
}

// ApproverKey returns an approver's signing key.
func (w *World) ApproverKey(id string) *warrant.ApproverKey {
	k, err := warrant.ParseApproverKey(w.World.Approvers[id].Seed())
	w.must(err)
	return k
}

// ReadAndApprove lets every approver open the envelope and approve what it
// holds, through the docket.
func (w *World) ReadAndApprove(d api.DocketClient, h warrant.Hash) *api.ApproveResponse {
	w.T.Helper()
	var last *api.ApproveResponse
	for _, o := range w.Charter.Offices {
		for _, a := range o.Approvers {
			last = w.ReadAndApproveAs(d, h, o.ID, a.ID)
		}
	}
	return last
}

// ReadAndApproveAs is ReadAndApprove for one approver.
func (w *World) ReadAndApproveAs(d api.DocketClient, h warrant.Hash, office, id string) *api.ApproveResponse {
	w.T.Helper()
	got, err := d.GetWarrant(context.Background(), &api.GetWarrantRequest{WarrantHash: h[:]})
	w.must(err)
	secret, err := w.Mail[id].Bytes()
	w.must(err)
	mail, err := warrant.ParseMailKey(secret)
	w.must(err)
	content, err := warrant.Open(got.Envelope, office+"/"+id, mail)
	w.must(err)
	x, salt, err := warrant.ParseSalted(content)
	w.must(err)
	p := x.Public(salt, w.Charter)
	approval := warrant.EncodeApprovals([]warrant.Approval{w.ApproverKey(id).Approve(p.Hash(), office, id)})
	out, err := d.Approve(context.Background(), &api.ApproveRequest{WarrantHash: h[:], Approval: approval})
	w.must(err)
	return out
}

// Secrets returns the two secrets of a compartment that [World.Capsule] seals.
func Secrets(account string, epoch uint64) (ratchet, senderData []byte) {
	return fmt.Appendf(nil, "%-32s", account+fmt.Sprint(epoch))[:32], fmt.Appendf(nil, "%-32s", fmt.Sprint("epoch ", epoch))[:32]
}

// Conversation is where every capsule of [World.Capsule] is from.
var Conversation = []byte("a conversation..")

// Capsule seals a compartment of this hour in a conversation of ann, bob and
// the account.
func (w *World) Capsule(account string, epoch uint64) *capsule.Capsule {
	w.T.Helper()
	now := time.Now()
	period := w.Charter.Period(now.Truncate(time.Hour))
	access, err := w.Charter.Access(period, nil)
	w.must(err)
	s, err := capsule.NewSealer(access)
	w.must(err)
	ratchet, senderData := Secrets(account, epoch)
	c, err := s.Seal(&capsule.Label{Suite: 0xF001, Conversation: Conversation, Epoch: epoch, Leaf: 1, Account: account, Device: "phone",
		Charter: w.Charter.Hash(), Period: period, Opened: uint64(now.Unix()),
		Roster: directory.RosterRoot([]string{"ann", "bob", account})}, ratchet, senderData)
	w.must(err)
	return c
}

// Gate stands in front of a service and can shut it off, lead elsewhere, or freeze
// what a log shows while it goes on taking entries.
type Gate struct {
	to http.Handler

	mu      sync.Mutex
	instead http.Handler
	saw     []byte
	shut    bool
	frozen  []byte // the checkpoint that is shown instead
}

// Shut makes every request fail, or ends that.
func (g *Gate) Shut(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
}

// Turn leads to another service from now on, or back to the first with nil.
func (g *Gate) Turn(to http.Handler) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.instead = to
}

// Saw returns the bodies of all requests so far.
func (g *Gate) Saw() []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return bytes.Clone(g.saw)
}

// Freeze makes the log show its present checkpoint for ever, or ends that.
func (g *Gate) Freeze(freeze bool) {
	r := httptest.NewRecorder()
	g.to.ServeHTTP(r, httptest.NewRequest(http.MethodGet, "/checkpoint", nil))
	b, _ := io.ReadAll(r.Body)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.frozen = nil; freeze {
		g.frozen = b
	}
}

// ServeHTTP implements [http.Handler].
func (g *Gate) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	g.mu.Lock()
	shut, frozen, to := g.shut, g.frozen, g.to
	if g.instead != nil {
		to = g.instead
	}
	g.saw = append(g.saw, body...)
	g.mu.Unlock()
	switch {
	case shut:
		http.Error(rw, "shut", http.StatusBadGateway)
	case frozen != nil && r.URL.Path == "/checkpoint":
		rw.Write(frozen)
	default:
		to.ServeHTTP(rw, r)
	}
}
