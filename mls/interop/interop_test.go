package interop

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"writ/mls"
)

// suites are those that both sides know, by their names in ts-mls.
var suites = map[string]mls.CipherSuite{
	"MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519":        mls.X25519_AES128GCM_SHA256_Ed25519,
	"MLS_128_DHKEMP256_AES128GCM_SHA256_P256":             mls.P256_AES128GCM_SHA256_P256,
	"MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519": mls.X25519_CHACHA20POLY1305_SHA256_Ed25519,
	"MLS_256_DHKEMP384_AES256GCM_SHA384_P384":             mls.P384_AES256GCM_SHA384_P384,
	"MLS_256_DHKEMP521_AES256GCM_SHA512_P521":             mls.P521_AES256GCM_SHA512_P521,
	"MLS_256_XWING_AES256GCM_SHA512_Ed25519":              tsXWingAES,
	"MLS_256_XWING_CHACHA20POLY1305_SHA512_Ed25519":       tsXWingChaCha,
}

// Code points that ts-mls uses.
const (
	tsXWingAES    mls.CipherSuite = 83
	tsXWingChaCha mls.CipherSuite = 84
)

// slow are the suites whose JavaScript takes most of the time.
var slow = map[mls.CipherSuite]bool{mls.P384_AES256GCM_SHA384_P384: true, mls.P521_AES256GCM_SHA512_P521: true}

var all = flag.Bool("all", false, "test the slow suites of P-384 and P-521 too")

func TestMain(m *testing.M) {
	flag.Parse()
	for code, cs := range map[mls.CipherSuite]mls.CipherSuite{
		tsXWingAES:    mls.XWING_AES256GCM_SHA512_Ed25519,
		tsXWingChaCha: mls.XWING_CHACHA20POLY1305_SHA512_Ed25519,
	} {
		if err := cs.AssignCodePoint(code); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// peer is ts-mls in a process of its own.
type peer struct {
	t   testing.TB
	in  *json.Encoder
	out *bufio.Scanner
}

type answer struct {
	Error, Message, Welcome, Kind, Text string
	Removed                             bool
	Epoch                               uint64
	Micros                              float64 // that the operation took over there
}

type args map[string]any

// startPeer skips the test when there is no peer to start.
func startPeer(t testing.TB) *peer {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node in PATH: install Node 20 or newer, then: npm ci --prefix mls/interop")
	}
	if _, err := os.Stat("node_modules/ts-mls"); err != nil {
		t.Skip("ts-mls is not installed: npm ci --prefix mls/interop")
	}
	cmd := exec.Command(node, "peer.mjs")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("peer: %v\n%s", err, stderr.Bytes())
		}
	})
	s := bufio.NewScanner(out)
	s.Buffer(nil, 1<<26)
	return &peer{t, json.NewEncoder(in), s}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// do asks the peer, and fails the test with its error.
func (p *peer) do(op, name string, a args) answer {
	p.t.Helper()
	line := args{"op": op, "name": name}
	for k, v := range a {
		if b, ok := v.([]byte); ok {
			v = hex.EncodeToString(b)
		}
		line[k] = v
	}
	check(p.t, p.in.Encode(line))
	if !p.out.Scan() {
		p.t.Fatalf("peer is gone: %v", p.out.Err())
	}
	var out answer
	check(p.t, json.Unmarshal(p.out.Bytes(), &out))
	if out.Error != "" {
		p.t.Fatalf("%s by %s: %s", op, name, out.Error)
	}
	return out
}

func (p *peer) bytes(s string) []byte {
	p.t.Helper()
	b, err := hex.DecodeString(s)
	check(p.t, err)
	return b
}

// world is one group with members on both sides.
type world struct {
	t      testing.TB
	peer   *peer
	name   string // of the suite
	suite  mls.CipherSuite
	cfg    mls.Config
	public bool                  // handshake as PublicMessage
	ours   map[string]*mls.Group // by name
	theirs map[string]bool
}

func newWorld(t testing.TB, name string, public bool) *world {
	return &world{
		t: t, peer: startPeer(t), name: name, suite: suites[name], public: public,
		ours: make(map[string]*mls.Group), theirs: make(map[string]bool),
		cfg: mls.Config{
			Authenticate:    func(*mls.LeafNode) error { return nil },
			Now:             time.Now,
			ExternalCommits: true,
		},
	}
}

type identity struct {
	key     *mls.SignatureKey
	kp      *mls.KeyPackage
	secrets []byte
}

func lifetime() mls.Lifetime {
	now := uint64(time.Now().Unix())
	return mls.Lifetime{NotBefore: now - 3600, NotAfter: now + 86400}
}

func (w *world) identity(name string) identity {
	w.t.Helper()
	key, err := mls.GenerateSignatureKey(w.suite)
	check(w.t, err)
	kp, secrets, err := mls.Client{Credential: mls.Credential{Identity: []byte(name)}, Key: key, Lifetime: lifetime(), GREASE: true}.NewKeyPackage(nil)
	check(w.t, err)
	return identity{key, kp, secrets}
}

// keyPackage is one of a new member on their side.
func (w *world) keyPackage(name string) []byte {
	w.t.Helper()
	return w.peer.bytes(w.peer.do("keyPackage", name, args{"suite": w.name}).Message)
}

func (w *world) parse(kp []byte) *mls.KeyPackage {
	w.t.Helper()
	out, err := mls.ParseKeyPackage(kp)
	check(w.t, err)
	return out
}

// ourCommit commits and brings it to everybody.
func (w *world) ourCommit(by string, o mls.CommitOptions) *mls.PendingCommit {
	w.t.Helper()
	o.Private = !w.public
	c, err := w.ours[by].Commit(o)
	check(w.t, err)
	w.deliver(c.Message, by)
	return c
}

// theirCommit does so on the other side.
func (w *world) theirCommit(by string, a args) answer {
	w.t.Helper()
	a["publicly"] = w.public
	out := w.peer.do("commit", by, a)
	w.deliver(w.peer.bytes(out.Message), by)
	return out
}

// deliver brings a commit to all but, on their side, its author.
func (w *world) deliver(msg []byte, author string) {
	w.t.Helper()
	for name, g := range w.ours {
		staged, err := g.Stage(msg)
		if err != nil {
			w.t.Fatalf("%s: %v", name, err)
		}
		_, err = g.Apply(staged)
		check(w.t, err)
		if g.Removed() {
			delete(w.ours, name)
		}
	}
	for name := range w.theirs {
		if name != author && w.peer.do("process", name, args{"message": msg}).Removed {
			delete(w.theirs, name)
		}
	}
}

func (w *world) joinOurs(name string, id identity, welcome []byte) {
	w.t.Helper()
	g, _, err := mls.Client{Key: id.key}.Join(w.cfg, welcome, id.kp, id.secrets, nil)
	check(w.t, err)
	w.ours[name] = g
}

func (w *world) joinTheirs(name string, welcome []byte) {
	w.t.Helper()
	w.peer.do("join", name, args{"message": welcome})
	w.theirs[name] = true
}

// agree compares all members' epoch authenticators, and lets everybody talk to all.
func (w *world) agree() {
	w.t.Helper()
	var want []byte
	same := func(name string, got []byte) {
		w.t.Helper()
		if want == nil {
			want = got
		}
		if !bytes.Equal(want, got) {
			w.t.Fatalf("%s is in another epoch than the others", name)
		}
	}
	for name, g := range w.ours {
		same(name, g.EpochAuthenticator())
	}
	for name := range w.theirs {
		same(name, w.peer.bytes(w.peer.do("authenticator", name, nil).Message))
	}
	for name, g := range w.ours {
		text := fmt.Sprintf("%s in epoch %d", name, g.Epoch())
		msg, _, err := g.Protect(nil, []byte(text))
		check(w.t, err)
		w.hear(name, text, msg)
	}
	for name := range w.theirs {
		text := name + " from the other side"
		w.hear(name, text, w.peer.bytes(w.peer.do("send", name, args{"text": text}).Message))
	}
}

func (w *world) hear(from, text string, msg []byte) {
	w.t.Helper()
	for name, g := range w.ours {
		if name == from {
			continue
		}
		m, _, err := g.Unprotect(msg)
		if err != nil || string(m.Data) != text || string(g.Leaf(m.Sender).Credential.Identity) != from {
			w.t.Fatalf("%s hears %v, %v", name, m, err)
		}
	}
	for name := range w.theirs {
		if name == from {
			continue
		}
		if got := w.peer.do("process", name, args{"message": msg}); got.Text != text {
			w.t.Fatalf("%s hears %q", name, got.Text)
		}
	}
}

// each runs a story in every suite, with handshake messages in the open and private.
func each(t *testing.T, story func(t *testing.T, w *world)) {
	for name, cs := range suites {
		if slow[cs] && !*all {
			continue
		}
		for _, public := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/public=%v", name, public), func(t *testing.T) {
				t.Parallel()
				story(t, newWorld(t, name, public))
			})
		}
	}
}

// We create a group; they join, add, update and remove in it.
func TestOurs(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		alice := w.identity("alice")
		g, err := mls.Client{Credential: mls.Credential{Identity: []byte("alice")}, Key: alice.key, Lifetime: lifetime()}.NewGroup(w.cfg, []byte("ours"), nil)
		check(t, err)
		w.ours["alice"] = g
		kp := w.keyPackage("bob")
		c := w.ourCommit("alice", mls.CommitOptions{Add: []*mls.KeyPackage{w.parse(kp)}})
		w.joinTheirs("bob", c.Welcome)
		w.agree()
		w.theirCommit("bob", args{}) // an update
		w.agree()
		w.ourCommit("alice", mls.CommitOptions{})
		w.agree()
		carol := w.identity("carol")
		out := w.theirCommit("bob", args{"add": []string{hex.EncodeToString(carol.kp.Bytes()), hex.EncodeToString(w.keyPackage("dave"))}})
		w.joinOurs("carol", carol, w.peer.bytes(out.Welcome))
		w.joinTheirs("dave", w.peer.bytes(out.Welcome))
		w.agree()
		w.updateByReference("carol", "bob")
		w.theirCommit("dave", args{"remove": []int{0}}) // alice
		if !g.Removed() {
			t.Fatal("alice is still in")
		}
		w.agree()
		w.ourCommit("carol", mls.CommitOptions{Remove: []mls.LeafIndex{3}}) // dave
		if w.theirs["dave"] {
			t.Fatal("dave is still in")
		}
		w.agree()
	})
}

// They create a group; we join and do the same.
func TestTheirs(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.keyPackage("alice")
		w.peer.do("create", "alice", args{"group": []byte("theirs")})
		w.theirs["alice"] = true
		bob := w.identity("bob")
		out := w.theirCommit("alice", args{"add": []string{hex.EncodeToString(bob.kp.Bytes())}})
		w.joinOurs("bob", bob, w.peer.bytes(out.Welcome))
		w.agree()
		w.ourCommit("bob", mls.CommitOptions{})
		w.agree()
		w.theirCommit("alice", args{})
		w.agree()
		c := w.ourCommit("bob", mls.CommitOptions{Add: []*mls.KeyPackage{w.parse(w.keyPackage("carol"))}})
		w.joinTheirs("carol", c.Welcome)
		w.agree()
		w.addByReference("carol", "bob", "dave")
		w.ourCommit("bob", mls.CommitOptions{Remove: []mls.LeafIndex{0}}) // alice
		w.agree()
	})
}

// updateByReference lets one of ours propose an Update, and one of theirs commit it.
func (w *world) updateByReference(ours, theirs string) {
	w.t.Helper()
	msg, _, err := w.ours[ours].Propose(mls.Proposal{Update: true, Private: !w.public})
	check(w.t, err)
	w.propose(msg, ours)
	w.theirCommit(theirs, args{})
	w.agree()
}

// addByReference lets one of theirs propose an Add, and one of ours commit it.
func (w *world) addByReference(theirs, ours, added string) {
	w.t.Helper()
	kp := w.keyPackage(added)
	out := w.peer.do("proposeAdd", theirs, args{"add": kp, "publicly": w.public})
	w.propose(w.peer.bytes(out.Message), theirs)
	c := w.ourCommit(ours, mls.CommitOptions{ByReference: true})
	w.joinTheirs(added, c.Welcome)
	w.agree()
}

func (w *world) propose(msg []byte, author string) {
	w.t.Helper()
	for name, g := range w.ours {
		if name != author {
			_, err := g.HandleProposal(msg)
			check(w.t, err)
		}
	}
	for name := range w.theirs {
		if name != author {
			w.peer.do("process", name, args{"message": msg})
		}
	}
}

// Each side lets itself into the other's group.
func TestExternal(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.keyPackage("alice")
		w.peer.do("create", "alice", args{"group": []byte("external")})
		w.theirs["alice"] = true
		info := w.peer.bytes(w.peer.do("groupInfo", "alice", nil).Message)
		key, err := mls.GenerateSignatureKey(w.suite)
		check(t, err)
		g, msg, err := mls.Client{Credential: mls.Credential{Identity: []byte("bob")}, Key: key}.JoinExternal(w.cfg, info, nil, mls.CommitOptions{})
		check(t, err)
		w.deliver(msg, "bob")
		w.ours["bob"] = g
		w.agree()
		ours, err := g.GroupInfo(nil, true)
		check(t, err)
		w.keyPackage("carol")
		out := w.peer.do("joinExternal", "carol", args{"message": ours})
		w.deliver(w.peer.bytes(out.Message), "carol")
		w.theirs["carol"] = true
		w.agree()
		w.ourCommit("bob", mls.CommitOptions{})
		w.agree()
	})
}

// A key whose first byte happens to be the length of the rest is still a key: peer.mjs
// undoes the encoding of external_pub, and of nothing else that ts-mls seals to.
func TestExternalNextToAKeyThatLooksEncoded(t *testing.T) {
	w := newWorld(t, "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519", true)
	alice, bob, dave := w.identity("alice"), w.identity("bob"), w.identity("dave")
	for dave.kp.Leaf.EncryptionKey[0] != 31 {
		dave = w.identity("dave")
	}
	g, err := mls.Client{Credential: mls.Credential{Identity: []byte("alice")}, Key: alice.key, Lifetime: lifetime()}.NewGroup(w.cfg, []byte("external"), nil)
	check(t, err)
	w.ours["alice"] = g
	c := w.ourCommit("alice", mls.CommitOptions{Add: []*mls.KeyPackage{bob.kp, dave.kp}})
	w.joinOurs("bob", bob, c.Welcome)
	w.joinOurs("dave", dave, c.Welcome) // in leaf 2, next to the one that comes
	info, err := g.GroupInfo(nil, true)
	check(t, err)
	w.keyPackage("carol")
	out := w.peer.do("joinExternal", "carol", args{"message": info})
	w.deliver(w.peer.bytes(out.Message), "carol")
	w.theirs["carol"] = true
	w.agree()
}
