package delivery

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/capsule"
	"writ/charter"
	"writ/charter/chartertest"
	"writ/directory"
	"writ/engine"
	"writ/internal/wire"
	"writ/mls"
)

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.t = c.t.Add(d) }

// world is a service on a loopback port with its database in a temporary folder.
type world struct {
	testing.TB
	law     *chartertest.World
	clock   *clock
	config  Config
	service *Service
	url     string
	client  *http.Client
}

// address is delivery's, as both sides have it.
const address = "https://delivery.example"

func newWorld(t testing.TB, options ...func(*Config)) *world {
	t.Helper()
	law := chartertest.New("delivery", chartertest.WithBar...)
	w := &world{TB: t, law: law, clock: &clock{t: chartertest.Now}}
	w.config = Config{
		Store:        engine.Config{Path: filepath.Join(t.TempDir(), "delivery.db")},
		Laws:         FixedLaws(law.Charter),
		Address:      address,
		StatementKey: StatementKey(law.Delivery),
		Now:          w.clock.now,
	}
	for _, o := range options {
		o(&w.config)
	}
	w.start()
	t.Cleanup(func() { w.service.Close() })
	return w
}

// start opens the service; after a service.Close it is the same one restarted.
func (w *world) start() {
	w.Helper()
	s, err := Open(w.config)
	if err != nil {
		w.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	w.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	w.service, w.url, w.client = s, server.URL, server.Client()
	w.client.Transport.(*http.Transport).MaxIdleConnsPerHost = 512
}

// phone is a device: real MLS, real HTTP.
type phone struct {
	*world
	id       directory.Identity
	law      *charter.Charter
	key      *mls.SignatureKey
	token    string
	packages []*mls.KeyPackage
	secrets  [][]byte
	groups   map[string]*mls.Group
}

const suite = mls.XWING_CHACHA20POLY1305_SHA256_Ed25519

// phone registers a device and logs it in.
func (w *world) phone(account, device string, sponsor *phone) *phone {
	w.Helper()
	key, err := mls.GenerateSignatureKey(suite)
	if err != nil {
		w.Fatal(err)
	}
	p := &phone{world: w, id: directory.Identity{Account: account, Device: device}, law: w.law.Charter, key: key, groups: map[string]*mls.Group{}}
	if err := p.register(sponsor); err != nil {
		w.Fatal(err)
	}
	p.login()
	return p
}

func (p *phone) sign(name string, content []byte) []byte {
	return ed25519Sign(p.key.Bytes(), wire.SignContent(name, content))
}

func (p *phone) register(sponsor *phone) error {
	r := &api.RegisterRequest{Account: p.id.Account, Device: p.id.Device, SignatureKey: p.key.Public()}
	content := RegistrationContent(p.id, p.key.Public())
	r.Proof = p.sign("device registration", content)
	if sponsor != nil {
		r.Statements = sponsor.lists(p)
	}
	_, err := p.api().Register(context.Background(), r)
	return err
}

// lists returns statements of the account by this device: it is the first, and adds p.
func (p *phone) lists(other *phone) [][]byte {
	signer := directory.DeviceSigner(ed25519.NewKeyFromSeed(p.key.Bytes()[:32]))
	s := &directory.Statement{Account: p.id.Account, Version: 1}
	recovery, _, _ := ed25519.GenerateKey(nil)
	copy(s.Recovery[:], recovery)
	s.Add(p.id.Device, directory.DeviceKey(p.key.Public()), 1)
	s.SignAs(p.id.Device, signer)
	chain, err := directory.NewChain(s)
	if err != nil {
		p.Fatal(err)
	}
	next := chain.Draft()
	next.Add(other.id.Device, directory.DeviceKey(other.key.Public()), 1)
	next.SignAs(p.id.Device, signer)
	if chain, err = chain.Follow(next); err != nil {
		p.Fatal(err)
	}
	return chain.Encode()
}

func (p *phone) login() {
	p.Helper()
	if err := p.tryLogin(); err != nil {
		p.Fatal(err)
	}
}

func (p *phone) tryLogin() error {
	c, err := p.api().Challenge(context.Background(), &api.ChallengeRequest{Account: p.id.Account, Device: p.id.Device})
	if err != nil {
		return err
	}
	r, err := p.api().Login(context.Background(), &api.LoginRequest{Account: p.id.Account, Device: p.id.Device,
		Challenge: c.Challenge, Signature: p.sign("login", LoginContent(p.id, p.config.Address, c.Challenge))})
	if err != nil {
		return err
	}
	p.token = r.Token
	return nil
}

// api is a client of the service as it now runs.
func (p *phone) api() api.DeliveryClient {
	return api.NewDeliveryClient(p.client, p.url, connect.WithInterceptors(bearer{p}))
}

// bearer adds the token to every call.
type bearer struct{ p *phone }

func (b bearer) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		r.Header().Set("Authorization", "Bearer "+b.p.token)
		return next(ctx, r)
	}
}

func (b bearer) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, s connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, s)
		conn.RequestHeader().Set("Authorization", "Bearer "+b.p.token)
		return conn
	}
}

func (b bearer) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

func (p *phone) mlsConfig() mls.Config {
	return mls.Config{Authenticate: func(*mls.LeafNode) error { return nil }, Now: p.clock.now, MaxPastEpochs: 3}
}

func (p *phone) homeLaw() []mls.Extension {
	h := p.law.Hash()
	return []mls.Extension{{Type: charter.LeafExtensionType, Data: h[:]}}
}

func (p *phone) opened() []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(p.clock.now().Unix()))
}

func (p *phone) stock(n int) {
	p.Helper()
	var list [][]byte
	for range n {
		now := uint64(p.clock.now().Unix())
		k, s, err := mls.Client{Credential: mls.Credential{Identity: p.id.Encode()}, Key: p.key, Extensions: p.homeLaw(), ExtensionTypes: known, Lifetime: mls.Lifetime{NotBefore: now - 3600, NotAfter: now + 86400*30}}.NewKeyPackage(nil)
		if err != nil {
			p.Fatal(err)
		}
		p.packages, p.secrets = append(p.packages, k), append(p.secrets, s)
		list = append(list, k.Bytes())
	}
	if _, err := p.api().PublishKeyPackages(context.Background(), &api.PublishKeyPackagesRequest{KeyPackages: list}); err != nil {
		p.Fatal(err)
	}
}

// create makes a conversation of its own.
func (p *phone) create() string { return p.createAs(nil) }

// createAs is create with extensions of the group context.
func (p *phone) createAs(extensions []mls.Extension) string {
	p.Helper()
	id, err := p.tryCreate(extensions)
	if err != nil {
		p.Fatal(err)
	}
	return id
}

func (p *phone) tryCreate(extensions []mls.Extension) (string, error) {
	p.Helper()
	id := randomBytes(16)
	g, err := mls.Client{Credential: mls.Credential{Identity: p.id.Encode()}, Key: p.key, Extensions: p.homeLaw(), ExtensionTypes: known}.NewGroup(p.mlsConfig(), id, extensions)
	if err != nil {
		p.Fatal(err)
	}
	info, err := g.GroupInfo([]mls.Extension{{Type: openedExtension, Data: p.opened()}}, true)
	if err != nil {
		p.Fatal(err)
	}
	if _, err := p.api().CreateConversation(context.Background(), &api.CreateConversationRequest{GroupInfo: info}); err != nil {
		return "", err
	}
	p.groups[string(id)] = g
	return string(id), nil
}

func (p *phone) take(account string) []*mls.KeyPackage {
	p.Helper()
	r, err := p.api().TakeKeyPackages(context.Background(), &api.TakeKeyPackagesRequest{Account: account, Suite: uint32(suite), RequestId: randomBytes(16)})
	if err != nil {
		p.Fatal(err)
	}
	var list []*mls.KeyPackage
	for _, d := range r.KeyPackages {
		k, err := mls.ParseKeyPackage(d.KeyPackage)
		if err != nil {
			p.Fatal(err)
		}
		list = append(list, k)
	}
	return list
}

// prepare makes a commit and the request for it, without sending it.
func (p *phone) prepare(conv string, o mls.CommitOptions) (*mls.PendingCommit, *api.CommitRequest) {
	p.Helper()
	if o.AuthenticatedData == nil {
		o.AuthenticatedData = p.opened()
	}
	o.GroupInfoExtensions = []mls.Extension{{Type: openedExtension, Data: o.AuthenticatedData}}
	c, err := p.groups[conv].Commit(o)
	if err != nil {
		p.Fatal(err)
	}
	return c, &api.CommitRequest{Conversation: []byte(conv), Mid: randomBytes(16), Message: c.Message, Welcome: c.Welcome}
}

// commit sends a commit and applies it.
func (p *phone) commit(conv string, o mls.CommitOptions) *api.CommitResponse {
	p.Helper()
	c, r := p.prepare(conv, o)
	answer, err := p.api().Commit(context.Background(), r)
	if err != nil {
		p.Fatal(err)
	}
	if _, err := p.groups[conv].Apply(c.Staged); err != nil {
		p.Fatal(err)
	}
	return answer
}

// join uses and confirms the waiting welcomes.
func (p *phone) join() {
	p.Helper()
	r, err := p.api().Welcomes(context.Background(), &api.WelcomesRequest{})
	if err != nil || len(r.Welcomes) == 0 {
		p.Fatalf("%v: %d welcomes, %v", p.id, len(r.GetWelcomes()), err)
	}
	for _, w := range r.Welcomes {
		for i, k := range p.packages {
			if g, _, err := (mls.Client{Key: p.key}).Join(p.mlsConfig(), w.Welcome, k, p.secrets[i], nil); err == nil {
				p.groups[string(w.Conversation)] = g
			}
		}
		if p.groups[string(w.Conversation)] == nil {
			p.Fatal("a welcome that nothing opens")
		}
		if _, err := p.api().Welcomes(context.Background(), &api.WelcomesRequest{Confirm: []uint64{w.Id}}); err != nil {
			p.Fatal(err)
		}
	}
}

// follow stages and applies every commit that the phone hasn't got yet.
func (p *phone) follow(conv string) {
	p.Helper()
	for _, m := range p.read(conv) {
		g := p.groups[conv]
		if m.Kind != api.Kind_KIND_COMMIT || m.Epoch != g.Epoch() {
			continue
		}
		staged, err := g.Stage(m.Body)
		if err != nil {
			p.Fatal(err)
		}
		if _, err := g.Apply(staged); err != nil {
			p.Fatal(err)
		}
	}
}

// read returns everything the phone may see, and checks that seq is dense.
func (p *phone) read(conv string) (list []*api.Message) {
	p.Helper()
	var after uint64
	for {
		r, err := p.api().Read(context.Background(), &api.ReadRequest{Conversation: []byte(conv), AfterSeq: after})
		if err != nil {
			p.Fatal(err)
		}
		for _, m := range r.Messages {
			if after != 0 && m.Seq != after+1 {
				p.Fatalf("seq %d after %d", m.Seq, after)
			}
			after = m.Seq
			list = append(list, m)
		}
		if after >= r.LastSeq || len(r.Messages) == 0 {
			return list
		}
	}
}

// label is the true label of the phone's compartment, from its own group.
func (p *phone) label(conv string) *capsule.Label {
	p.Helper()
	g := p.groups[conv]
	var accounts []string
	for _, leaf := range g.Members() {
		id, err := directory.ParseIdentity(leaf.Credential.Identity)
		if err != nil {
			p.Fatal(err)
		}
		accounts = append(accounts, id.Account)
	}
	l := &capsule.Label{Suite: uint16(suite), Conversation: []byte(conv), Epoch: g.Epoch(), Leaf: uint32(g.OwnLeaf()), Account: p.id.Account, Device: p.id.Device,
		Charter: p.law.Hash(), Opened: uint64(p.clock.now().Unix()), Roster: directory.RosterRoot(accounts)}
	l.Period = p.law.Period(l.OpenedAt())
	context, err := g.Context(), error(nil)
	if l.Flags, err = flagsOf(&context); err != nil {
		p.Fatal(err)
	}
	return l
}

// seal makes a capsule with a label, under the secrets of the phone's compartment if
// they are still there.
func (p *phone) seal(conv string, l *capsule.Label) *capsule.Capsule {
	p.Helper()
	ratchet, senderData, err := p.groups[conv].SenderSecrets(p.groups[conv].Epoch(), p.groups[conv].OwnLeaf())
	if err != nil {
		p.Fatal(err)
	}
	access, err := p.law.Access(l.Period, nil)
	if err != nil {
		p.Fatal(err)
	}
	sealer, err := capsule.NewSealer(access)
	if err != nil {
		p.Fatal(err)
	}
	c, err := sealer.Seal(l, ratchet, senderData)
	if err != nil {
		p.Fatal(err)
	}
	return c
}

// deposit seals and puts the phone's capsule and returns its hash.
func (p *phone) deposit(conv string) []byte {
	p.Helper()
	r, err := p.api().PutCapsule(context.Background(), &api.PutCapsuleRequest{Capsule: p.seal(conv, p.label(conv)).Bytes()})
	if err != nil {
		p.Fatal(err)
	}
	return r.Hash
}

// protect encrypts a message that names a capsule.
func (p *phone) protect(conv string, hash []byte, text string) *api.AppendRequest {
	p.Helper()
	m, _, err := p.groups[conv].Protect(hash, []byte(text))
	if err != nil {
		p.Fatal(err)
	}
	return &api.AppendRequest{Conversation: []byte(conv), Mid: randomBytes(16), Message: m}
}

func (p *phone) say(conv string, hash []byte, text string) uint64 {
	p.Helper()
	r, err := p.api().Append(context.Background(), p.protect(conv, hash, text))
	if err != nil {
		p.Fatal(err)
	}
	return r.Seq
}

// pair is two people in one conversation, in epoch 1.
func (w *world) pair() (alice, bob *phone, conv string) {
	w.Helper()
	alice, bob = w.phone("alice", "phone", nil), w.phone("bob", "phone", nil)
	bob.stock(4)
	conv = alice.create()
	alice.commit(conv, mls.CommitOptions{Add: alice.take("bob")})
	bob.join()
	return alice, bob, conv
}

// refusedWith fails unless err has the code and a hint.
func refusedWith(t testing.TB, what string, err error, code connect.Code) *api.Hint {
	t.Helper()
	if connect.CodeOf(err) != code || err == nil {
		t.Errorf("%s: got %v, want %v", what, err, code)
		return &api.Hint{}
	}
	for _, d := range err.(*connect.Error).Details() {
		if v, err := d.Value(); err == nil {
			if h, ok := v.(*api.Hint); ok && h.Hint != "" {
				return h
			}
		}
	}
	t.Errorf("%s: %v has no hint", what, err)
	return &api.Hint{}
}

func texts(n int, prefix string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint(prefix, " ", i)
	}
	return list
}

func testID(account string) directory.Identity {
	return directory.Identity{Account: account, Device: "phone"}
}

func testMessage(conv string) *engine.Message {
	return &engine.Message{Conversation: []byte(conv), Seq: 1, Kind: engine.Application, Body: []byte("b")}
}
