package mls

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// hexBytes is how the vectors write bytes.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// vectorKinds tells the formats of the MLS working group's vectors apart by the keys
// of their objects, whatever the file is called.
var vectorKinds = []struct {
	name string
	keys []string
	run  func(*testing.T, []byte)
}{
	{"tree-math", []string{"n_leaves", "n_nodes", "root"}, each(testTreeMath)},
	{"deserialization", []string{"vlbytes_header", "length"}, each(testDeserialization)},
	{"crypto-basics", []string{"ref_hash", "expand_with_label"}, each(testCryptoBasics)},
	{"secret-tree", []string{"sender_data", "encryption_secret", "leaves"}, each(testSecretTree)},
	{"message-protection", []string{"membership_key", "proposal_priv", "commit_pub"}, each(testMessageProtection)},
	{"key-schedule", []string{"initial_init_secret", "epochs"}, each(testKeySchedule)},
	{"psk-secret", []string{"psks", "psk_secret"}, each(testPSKSecret)},
	{"transcript-hashes", []string{"authenticated_content", "confirmation_key"}, each(testTranscriptHashes)},
	{"welcome", []string{"init_priv", "signer_pub", "welcome"}, each(testWelcome)},
	{"tree-operations", []string{"proposal_sender", "tree_before", "tree_after"}, each(testTreeOperations)},
	{"tree-validation", []string{"tree", "tree_hashes", "resolutions"}, each(testTreeValidation)},
	{"treekem", []string{"leaves_private", "update_paths"}, each(testTreeKEM)},
	{"messages", []string{"mls_welcome", "ratchet_tree", "private_message"}, each(testMessages)},
	{"passive-client", []string{"key_package", "initial_epoch_authenticator", "epochs"}, each(testPassiveClient)},
}

func TestVectors(t *testing.T) {
	dir := os.Getenv("WRIT_MLS_VECTORS")
	if dir == "" {
		dir = "../../shared/mls-vectors"
	}
	var files []string
	for _, pattern := range []string{"*.json", "*.json.gz"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Skipf("no vectors in %s; set WRIT_MLS_VECTORS", dir)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			t.Parallel()
			data := readVectors(t, f)
			for _, k := range vectorKinds {
				if hasKeys(t, data, k.keys) {
					k.run(t, data)
					return
				}
			}
			t.Fatalf("unknown format: %.200s", data)
		})
	}
}

func readVectors(t *testing.T, name string) []byte {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func hasKeys(t *testing.T, data []byte, keys []string) bool {
	var list []map[string]json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatalf("not a JSON array of objects: %v", err)
	}
	if len(list) == 0 {
		t.Fatal("no vectors in the file")
	}
	for _, k := range keys {
		if _, ok := list[0][k]; !ok {
			return false
		}
	}
	return true
}

// each runs one test for every vector of a file, and logs how many it ran; those of
// cipher suites that aren't implemented are counted apart.
func each[V any](f func(t *testing.T, s *suite, v *V)) func(*testing.T, []byte) {
	return func(t *testing.T, data []byte) {
		var raws []json.RawMessage
		if err := json.Unmarshal(data, &raws); err != nil {
			t.Fatal(err)
		}
		ran, skipped := 0, make(map[string]int)
		for i, raw := range raws {
			var v V
			var head struct {
				Suite *CipherSuite `json:"cipher_suite"`
			}
			if err := errors.Join(json.Unmarshal(raw, &v), json.Unmarshal(raw, &head)); err != nil {
				t.Fatal(err)
			}
			var s *suite
			if head.Suite != nil {
				var err error
				if s, err = head.Suite.params(); err != nil {
					skipped[fmt.Sprintf("suite %d", *head.Suite)]++
					continue
				}
			}
			ok := t.Run(fmt.Sprint(i), func(t *testing.T) { f(t, s, &v) })
			if !ok {
				return
			}
			ran++
		}
		if ran == 0 {
			t.Skipf("no vector ran; skipped: %v", skipped)
		}
		t.Logf("%d vectors passed; skipped: %v", ran, skipped)
	}
}

func equal(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: %x, want %x", what, got, want)
	}
}

// must is for what the vectors promise to be well formed.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// scalar restores the leading zeros that some vectors leave off P-521's private keys.
func scalar(s *suite, b []byte) []byte {
	if s.id != P521_AES256GCM_SHA512_P521 || len(b) >= 66 {
		return b
	}
	return append(make([]byte, 66-len(b)), b...)
}

type treeMathVector struct {
	Leaves  uint32    `json:"n_leaves"`
	Nodes   uint32    `json:"n_nodes"`
	Root    nodeIndex `json:"root"`
	Left    []*nodeIndex
	Right   []*nodeIndex
	Parent  []*nodeIndex
	Sibling []*nodeIndex
}

func testTreeMath(t *testing.T, _ *suite, v *treeMathVector) {
	if nodeWidth(v.Leaves) != v.Nodes || root(v.Leaves) != v.Root || treeWidth(v.Leaves) != v.Leaves {
		t.Fatalf("width %d, root %d", nodeWidth(v.Leaves), root(v.Leaves))
	}
	check := func(what string, x nodeIndex, exists bool, want *nodeIndex, f func(nodeIndex) nodeIndex) {
		if exists != (want != nil) || exists && f(x) != *want {
			t.Errorf("%s(%d) differs", what, x)
		}
	}
	for x := range nodeIndex(v.Nodes) {
		check("left", x, !x.isLeaf(), v.Left[x], nodeIndex.left)
		check("right", x, !x.isLeaf(), v.Right[x], nodeIndex.right)
		check("parent", x, x != v.Root, v.Parent[x], nodeIndex.parent)
		check("sibling", x, x != v.Root, v.Sibling[x], nodeIndex.sibling)
	}
}

type deserializationVector struct {
	Header hexBytes `json:"vlbytes_header"`
	Length int
}

func testDeserialization(t *testing.T, _ *suite, v *deserializationVector) {
	n := must(parse(v.Header, (*reader).length))(t)
	if n != v.Length {
		t.Fatalf("length %d, want %d", n, v.Length)
	}
	equal(t, "encoding", appendLength(nil, n), v.Header)
}

type cryptoBasicsVector struct {
	RefHash struct {
		Label      string
		Value, Out hexBytes
	} `json:"ref_hash"`
	ExpandWithLabel struct {
		Secret, Context, Out hexBytes
		Label                string
		Length               int
	} `json:"expand_with_label"`
	DeriveSecret struct {
		Secret, Out hexBytes
		Label       string
	} `json:"derive_secret"`
	DeriveTreeSecret struct {
		Secret, Out hexBytes
		Label       string
		Generation  uint32
		Length      int
	} `json:"derive_tree_secret"`
	SignWithLabel struct {
		Priv, Pub, Content, Signature hexBytes
		Label                         string
	} `json:"sign_with_label"`
	EncryptWithLabel struct {
		Priv, Pub, Context, Plaintext, Ciphertext hexBytes
		KEMOutput                                 hexBytes `json:"kem_output"`
		Label                                     string
	} `json:"encrypt_with_label"`
}

func testCryptoBasics(t *testing.T, s *suite, v *cryptoBasicsVector) {
	equal(t, "RefHash", s.refHash(v.RefHash.Label, v.RefHash.Value), v.RefHash.Out)
	e := v.ExpandWithLabel
	equal(t, "ExpandWithLabel", s.expandWithLabel(e.Secret, e.Label, e.Context, e.Length), e.Out)
	equal(t, "DeriveSecret", s.deriveSecret(v.DeriveSecret.Secret, v.DeriveSecret.Label), v.DeriveSecret.Out)
	d := v.DeriveTreeSecret
	equal(t, "DeriveTreeSecret", s.deriveTreeSecret(d.Secret, d.Label, d.Generation, d.Length), d.Out)

	g := v.SignWithLabel
	key := must(NewSignatureKey(s.id, scalar(s, g.Priv)))(t)
	equal(t, "signature public key", key.Public(), g.Pub)
	again := must(key.sign(g.Label, g.Content))(t)
	for _, sig := range [][]byte{g.Signature, again} {
		if !s.verifySignature(SignaturePublicKey(g.Pub), g.Label, g.Content, sig) {
			t.Fatal("VerifyWithLabel")
		}
	}

	h := v.EncryptWithLabel
	priv := must(s.parseHPKEKey(scalar(s, h.Priv)))(t)
	equal(t, "HPKE public key", priv.public, h.Pub)
	sealed := must(s.encryptWithLabel(hpkePublicKey(h.Pub), h.Label, h.Context, h.Plaintext))(t)
	for _, c := range []hpkeCiphertext{{h.KEMOutput, h.Ciphertext}, sealed} {
		equal(t, "DecryptWithLabel", must(s.decryptWithLabel(priv, h.Label, h.Context, c))(t), h.Plaintext)
	}
}

type secretTreeVector struct {
	Encryption hexBytes `json:"encryption_secret"`
	SenderData struct {
		Secret     hexBytes `json:"sender_data_secret"`
		Ciphertext hexBytes
		Key, Nonce hexBytes
	} `json:"sender_data"`
	Leaves [][]struct {
		Generation       uint32
		ApplicationKey   hexBytes `json:"application_key"`
		ApplicationNonce hexBytes `json:"application_nonce"`
		HandshakeKey     hexBytes `json:"handshake_key"`
		HandshakeNonce   hexBytes `json:"handshake_nonce"`
	}
}

func testSecretTree(t *testing.T, s *suite, v *secretTreeVector) {
	k := s.senderDataKey(v.SenderData.Secret, v.SenderData.Ciphertext)
	equal(t, "sender data key", k.key, v.SenderData.Key)
	equal(t, "sender data nonce", k.nonce, v.SenderData.Nonce)
	tree := newSecretTree(s, 0, uint32(len(v.Leaves)), slices.Clone(v.Encryption))
	for i, generations := range v.Leaves {
		for _, g := range generations {
			for kind, want := range map[ratchetKind]messageKey{
				ratchetApplication: {g.ApplicationKey, g.ApplicationNonce},
				ratchetHandshake:   {g.HandshakeKey, g.HandshakeNonce},
			} {
				use := must(tree.find(ratchetID{LeafIndex(i), kind}, g.Generation, 1000))(t)
				equal(t, "key", use.key.key, want.key)
				equal(t, "nonce", use.key.nonce, want.nonce)
				tree.consume(use, 1000)
			}
		}
	}
}

type messageProtectionVector struct {
	GroupID       hexBytes `json:"group_id"`
	Epoch         uint64
	TreeHash      hexBytes `json:"tree_hash"`
	Confirmed     hexBytes `json:"confirmed_transcript_hash"`
	SignaturePriv hexBytes `json:"signature_priv"`
	SignaturePub  hexBytes `json:"signature_pub"`
	Encryption    hexBytes `json:"encryption_secret"`
	SenderData    hexBytes `json:"sender_data_secret"`
	Membership    hexBytes `json:"membership_key"`

	Proposal        hexBytes
	ProposalPriv    hexBytes `json:"proposal_priv"`
	ProposalPub     hexBytes `json:"proposal_pub"`
	Commit          hexBytes
	CommitPriv      hexBytes `json:"commit_priv"`
	CommitPub       hexBytes `json:"commit_pub"`
	Application     hexBytes
	ApplicationPriv hexBytes `json:"application_priv"`
}

// testMessageProtection reads the messages of leaf 1 of two, and reads what it wrote
// itself in the same two framings.
func testMessageProtection(t *testing.T, s *suite, v *messageProtectionVector) {
	key := must(NewSignatureKey(s.id, scalar(s, v.SignaturePriv)))(t)
	leaf := &LeafNode{SignatureKey: SignaturePublicKey(v.SignaturePub)}
	tree := newTree(s, leaf)
	tree.addLeaf(leaf)
	c := GroupContext{protocolVersion, s.id, v.GroupID, v.Epoch, v.TreeHash, v.Confirmed, nil}
	fresh := func() *messageEpoch {
		st := &publicState{suite: s, context: c, contextBytes: c.Bytes(), tree: tree}
		return &messageEpoch{st, v.SenderData, newSecretTree(s, v.Epoch, 2, slices.Clone(v.Encryption))}
	}
	body := func(a *authenticatedContent) []byte {
		if a.content.kind == contentApplication {
			return a.content.application
		}
		var w writer
		a.content.encodeBody(&w)
		return w.buf
	}
	openPriv := func(raw []byte) *authenticatedContent {
		m := must(parse(raw, decodeMessage))(t)
		equal(t, "message encoding", marshal(m), raw)
		_, a, _, err := fresh().open(m.private, 1000)
		return must(a, err)(t)
	}
	openPub := func(raw []byte) *authenticatedContent {
		m := must(parse(raw, decodeMessage))(t)
		equal(t, "message encoding", marshal(m), raw)
		u := must(s.openPublic(v.Membership, m.public, c.Bytes()))(t)
		return must(u.verify(s, key.public, c.Bytes()))(t)
	}
	for _, k := range []struct {
		kind            contentType
		want, priv, pub hexBytes
	}{
		{contentProposal, v.Proposal, v.ProposalPriv, v.ProposalPub},
		{contentCommit, v.Commit, v.CommitPriv, v.CommitPub},
		{contentApplication, v.Application, v.ApplicationPriv, nil},
	} {
		a := openPriv(k.priv)
		equal(t, "private content", body(a), k.want)
		a.content.sender = sender{senderMember, 1}
		must(0, a.sign(key, c.Bytes()))(t)
		e := fresh()
		use := must(e.messages.find(ratchetID{1, kindOf(k.kind)}, 0, 0))(t)
		m := s.sealPrivate(a, use.key, senderData{leaf: 1, guard: [4]byte{1, 2, 3, 4}}, v.SenderData, 64)
		equal(t, "own private content", body(openPriv(marshal(m))), k.want)
		if k.pub == nil {
			continue
		}
		a = openPub(k.pub)
		equal(t, "public content", body(a), k.want)
		must(0, a.sign(key, c.Bytes()))(t)
		equal(t, "own public content", body(openPub(marshal(s.protectPublic(v.Membership, a, c.Bytes())))), k.want)
	}
}

type keyScheduleVector struct {
	GroupID hexBytes `json:"group_id"`
	Init    hexBytes `json:"initial_init_secret"`
	Epochs  []struct {
		TreeHash      hexBytes `json:"tree_hash"`
		CommitSecret  hexBytes `json:"commit_secret"`
		PSKSecret     hexBytes `json:"psk_secret"`
		Confirmed     hexBytes `json:"confirmed_transcript_hash"`
		GroupContext  hexBytes `json:"group_context"`
		Joiner        hexBytes `json:"joiner_secret"`
		Welcome       hexBytes `json:"welcome_secret"`
		Init          hexBytes `json:"init_secret"`
		SenderData    hexBytes `json:"sender_data_secret"`
		Encryption    hexBytes `json:"encryption_secret"`
		ExporterKey   hexBytes `json:"exporter_secret"`
		Authenticator hexBytes `json:"epoch_authenticator"`
		External      hexBytes `json:"external_secret"`
		ExternalPub   hexBytes `json:"external_pub"`
		Confirmation  hexBytes `json:"confirmation_key"`
		Membership    hexBytes `json:"membership_key"`
		Resumption    hexBytes `json:"resumption_psk"`
		Exporter      struct {
			Label           string
			Context, Secret hexBytes
			Length          int
		}
	}
}

func testKeySchedule(t *testing.T, s *suite, v *keyScheduleVector) {
	init := v.Init
	for n, e := range v.Epochs {
		c := GroupContext{protocolVersion, s.id, v.GroupID, uint64(n), e.TreeHash, e.Confirmed, nil}
		equal(t, "group context", c.Bytes(), e.GroupContext)
		joiner := s.joinerSecret(init, e.CommitSecret, c.Bytes())
		equal(t, "joiner secret", joiner, e.Joiner)
		equal(t, "welcome secret", s.welcomeSecret(joiner, e.PSKSecret), e.Welcome)
		got, encryption := s.deriveEpoch(s.epochSecret(joiner, e.PSKSecret, c.Bytes()))
		equal(t, "encryption secret", encryption, e.Encryption)
		want := epochSecrets{hexb(e.SenderData), hexb(e.ExporterKey), hexb(e.External), hexb(e.Confirmation),
			hexb(e.Membership), hexb(e.Resumption), hexb(e.Authenticator), hexb(e.Init)}
		for i, secret := range got.all() {
			equal(t, fmt.Sprint("secret ", i), *secret, *want.all()[i])
		}
		equal(t, "external public key", must(s.externalKey(got.external))(t).public, e.ExternalPub)
		x := e.Exporter
		equal(t, "exporter", must(s.export(got.exporter, x.Label, x.Context, x.Length))(t), x.Secret)
		init = e.Init
	}
}

func hexb(h hexBytes) []byte { return h }

type pskSecretVector struct {
	PSKs []struct {
		ID    hexBytes `json:"psk_id"`
		Key   hexBytes `json:"psk"`
		Nonce hexBytes `json:"psk_nonce"`
	}
	Secret hexBytes `json:"psk_secret"`
}

func testPSKSecret(t *testing.T, s *suite, v *pskSecretVector) {
	var ids []pskID
	var keys [][]byte
	for _, p := range v.PSKs {
		ids = append(ids, pskID{kind: pskExternal, id: p.ID, nonce: p.Nonce})
		keys = append(keys, p.Key)
	}
	equal(t, "psk secret", s.pskSecret(ids, keys), v.Secret)
}

type transcriptVector struct {
	Key       hexBytes `json:"confirmation_key"`
	Content   hexBytes `json:"authenticated_content"`
	Before    hexBytes `json:"interim_transcript_hash_before"`
	Confirmed hexBytes `json:"confirmed_transcript_hash_after"`
	Interim   hexBytes `json:"interim_transcript_hash_after"`
}

func testTranscriptHashes(t *testing.T, s *suite, v *transcriptVector) {
	a := must(parse(v.Content, decodeAuthenticatedContent))(t)
	equal(t, "encoding", marshal(a), v.Content)
	confirmed := s.confirmedHash(v.Before, a)
	equal(t, "confirmed", confirmed, v.Confirmed)
	equal(t, "interim", s.interimHash(confirmed, a.auth.confirmationTag), v.Interim)
	if !s.verifyMAC(v.Key, confirmed, a.auth.confirmationTag) {
		t.Fatal("confirmation tag")
	}
}

type welcomeVector struct {
	InitPriv   hexBytes `json:"init_priv"`
	SignerPub  hexBytes `json:"signer_pub"`
	KeyPackage hexBytes `json:"key_package"`
	Welcome    hexBytes
}

func testWelcome(t *testing.T, s *suite, v *welcomeVector) {
	m := must(parse(v.Welcome, decodeMessage))(t)
	j := &joining{suite: s, kp: must(ParseKeyPackage(v.KeyPackage))(t)}
	j.secrets = &keyPackageSecrets{init: must(s.parseHPKEKey(scalar(s, v.InitPriv)))(t)}
	must(0, j.openSecrets(m.welcome))(t)
	must(0, j.info.verifySignature(s, SignaturePublicKey(v.SignerPub)))(t)
	secrets, _ := s.deriveEpoch(s.epochSecret(j.group.joiner, j.psk, j.info.context.Bytes()))
	if !s.verifyMAC(secrets.confirmation, j.info.context.ConfirmedTranscriptHash, j.info.confirmationTag) {
		t.Fatal("confirmation tag")
	}
}

type treeOperationsVector struct {
	Before     hexBytes `json:"tree_before"`
	Proposal   hexBytes
	Sender     uint32   `json:"proposal_sender"`
	After      hexBytes `json:"tree_after"`
	HashBefore hexBytes `json:"tree_hash_before"`
	HashAfter  hexBytes `json:"tree_hash_after"`
}

func testTreeOperations(t *testing.T, s *suite, v *treeOperationsVector) {
	st := &publicState{suite: s, tree: must(parseTree(s, v.Before))(t)}
	equal(t, "hash before", st.tree.rootHash(), v.HashBefore)
	p := must(parse(v.Proposal, decodeProposal))(t)
	after := st.apply(newProposalList([]queuedProposal{{proposal: p, sender: sender{senderMember, v.Sender}}})).tree
	equal(t, "tree after", marshal(after), v.After)
	equal(t, "hash after", after.rootHash(), v.HashAfter)
	equal(t, "tree before, untouched", marshal(st.tree), v.Before)
}

type treeValidationVector struct {
	Tree        hexBytes
	GroupID     hexBytes      `json:"group_id"`
	Hashes      []hexBytes    `json:"tree_hashes"`
	Resolutions [][]nodeIndex `json:"resolutions"`
}

func testTreeValidation(t *testing.T, s *suite, v *treeValidationVector) {
	tree := must(parseTree(s, v.Tree))(t)
	equal(t, "encoding", marshal(tree), v.Tree)
	for x := range tree.size() {
		equal(t, "tree hash", tree.treeHash(nodeIndex(x)), v.Hashes[x])
		if got := tree.resolution(nodeIndex(x)); !slices.Equal(got, v.Resolutions[x]) {
			t.Fatalf("resolution of %d: %v, want %v", x, got, v.Resolutions[x])
		}
	}
	c := &GroupContext{GroupID: v.GroupID, TreeHash: tree.rootHash()}
	must(0, tree.verify(c, acceptAll))(t)
}

func acceptAll(*LeafNode) error { return nil }

type treeKEMVector struct {
	Epoch     uint64
	GroupID   hexBytes `json:"group_id"`
	Confirmed hexBytes `json:"confirmed_transcript_hash"`
	Tree      hexBytes `json:"ratchet_tree"`
	Private   []struct {
		Index       LeafIndex
		Encryption  hexBytes `json:"encryption_priv"`
		Signature   hexBytes `json:"signature_priv"`
		PathSecrets []struct {
			Node   nodeIndex
			Secret hexBytes `json:"path_secret"`
		} `json:"path_secrets"`
	} `json:"leaves_private"`
	Paths []struct {
		Sender       LeafIndex
		Path         hexBytes   `json:"update_path"`
		Secrets      []hexBytes `json:"path_secrets"`
		CommitSecret hexBytes   `json:"commit_secret"`
		HashAfter    hexBytes   `json:"tree_hash_after"`
	} `json:"update_paths"`
}

// testTreeKEM lets every leaf read every given path, and every leaf make a path of
// its own that every other leaf reads.
func testTreeKEM(t *testing.T, s *suite, v *treeKEMVector) {
	tree := must(parseTree(s, v.Tree))(t)
	c := GroupContext{protocolVersion, s.id, v.GroupID, v.Epoch, nil, v.Confirmed, nil}
	keys := make(map[LeafIndex]treeKeys)
	for _, p := range v.Private {
		keys[p.Index] = treeKeys{p.Index.node(): must(s.parseHPKEKey(scalar(s, p.Encryption)))(t)}
		for _, ps := range p.PathSecrets {
			keys[p.Index][ps.Node] = must(s.nodeKey(ps.Secret))(t)
		}
		for x, k := range keys[p.Index] {
			equal(t, "public key", k.public, tree.node(x).encryptionKey())
		}
	}
	read := func(after *transition, path *updatePath, want func(LeafIndex) []byte, commitSecret []byte) {
		after.context.TreeHash = after.tree.rootHash()
		for i, k := range keys {
			if i == after.committer {
				continue
			}
			fresh, secret, err := after.tree.openPath(i, k, after.steps, nil, path, after.context.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "commit secret", secret, commitSecret)
			if want != nil {
				lowest := slices.IndexFunc(after.steps, func(s pathStep) bool { return fresh[s.node] != nil })
				equal(t, "path key", fresh[after.steps[lowest].node].public, must(s.nodeKey(want(i)))(t).public)
			}
		}
	}
	for _, u := range v.Paths {
		path := must(parse(u.Path, decodeUpdatePath))(t)
		equal(t, "path encoding", marshal(path), u.Path)
		must(0, tree.verifyPath(u.Sender.node(), tree.filteredPath(u.Sender), nil, path))(t)
		after := &transition{context: c, tree: tree.clone(), committer: u.Sender}
		equal(t, "parent hash", after.merge(path), path.leaf.parentHash)
		equal(t, "tree hash", after.tree.rootHash(), u.HashAfter)
		must(0, after.tree.verifyParentHashes())(t)
		must(0, path.leaf.verifySignature(s, v.GroupID, u.Sender))(t)
		read(after, path, func(i LeafIndex) []byte { return u.Secrets[i] }, u.CommitSecret)
	}
	for _, p := range v.Private {
		after := &transition{context: c, tree: tree.clone(), committer: p.Index}
		fresh := must(after.tree.newPath(p.Index))(t)
		after.steps = fresh.steps
		leaf := tree.leaf(p.Index).renewed(sourceCommit, must(s.generateHPKEKey())(t).public, nil)
		leaf.parentHash = after.tree.setPath(p.Index, fresh.steps, fresh.publicKeys())
		must(0, leaf.sign(must(NewSignatureKey(s.id, scalar(s, p.Signature)))(t), v.GroupID, p.Index))(t)
		after.tree.set(p.Index.node(), treeNode{leaf: leaf})
		after.context.TreeHash = after.tree.rootHash()
		path := &updatePath{leaf, must(fresh.encrypt(after.tree, nil, after.context.Bytes()))(t)}
		must(0, after.tree.verifyParentHashes())(t)
		read(after, path, nil, fresh.commitSecret)
	}
}

type messagesVector map[string]hexBytes

// testMessages parses each structure and encodes it again.
func testMessages(t *testing.T, _ *suite, v *messagesVector) {
	asMessage := again(decodeMessage)
	body := func(kind proposalType) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) {
			var w writer
			w.uint16(uint16(kind))
			out, err := again(decodeProposal)(append(w.buf, b...))
			return bytes.TrimPrefix(out, w.buf), err
		}
	}
	forms := map[string]func([]byte) ([]byte, error){
		"mls_welcome": asMessage, "mls_group_info": asMessage, "mls_key_package": asMessage,
		"public_message_application": asMessage, "public_message_proposal": asMessage,
		"public_message_commit": asMessage, "private_message": asMessage,
		"ratchet_tree": func(b []byte) ([]byte, error) {
			tree, err := parseTree(nil, b)
			if err != nil {
				return nil, err
			}
			return marshal(tree), nil
		},
		"group_secrets":                     again(decodeGroupSecrets),
		"commit":                            again(decodeCommit),
		"add_proposal":                      body(proposalAdd),
		"update_proposal":                   body(proposalUpdate),
		"remove_proposal":                   body(proposalRemove),
		"pre_shared_key_proposal":           body(proposalPSK),
		"re_init_proposal":                  body(proposalReInit),
		"external_init_proposal":            body(proposalExternalInit),
		"group_context_extensions_proposal": body(proposalGroupContextExtensions),
	}
	for name, raw := range *v {
		f := forms[name]
		if f == nil {
			t.Fatalf("unknown structure %q", name)
		}
		out, err := f(raw)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		equal(t, name, out, raw)
	}
}

func again[T encoder](decode func(*reader) T) func([]byte) ([]byte, error) {
	return func(b []byte) ([]byte, error) {
		v, err := parse(b, decode)
		if err != nil {
			return nil, err
		}
		return marshal(v), nil
	}
}

type passiveClientVector struct {
	ExternalPSKs []struct {
		ID  hexBytes `json:"psk_id"`
		Key hexBytes `json:"psk"`
	} `json:"external_psks"`
	KeyPackage    hexBytes `json:"key_package"`
	Signature     hexBytes `json:"signature_priv"`
	Encryption    hexBytes `json:"encryption_priv"`
	Init          hexBytes `json:"init_priv"`
	Welcome       hexBytes
	Tree          hexBytes `json:"ratchet_tree"`
	Authenticator hexBytes `json:"initial_epoch_authenticator"`
	Epochs        []struct {
		Proposals     []hexBytes
		Commit        hexBytes
		Authenticator hexBytes `json:"epoch_authenticator"`
	}
}

// middle is a time at which the vector's key packages are good.
func middle(l Lifetime) time.Time {
	if l.NotAfter-l.NotBefore > 1<<40 {
		return time.Unix(1700000000, 0)
	}
	return time.Unix(int64(l.NotBefore+(l.NotAfter-l.NotBefore)/2), 0)
}

// testPassiveClient joins and follows, and at each epoch stores and loads its state.
func testPassiveClient(t *testing.T, s *suite, v *passiveClientVector) {
	kp := must(ParseKeyPackage(v.KeyPackage))(t)
	cfg := Config{
		Authenticate:      acceptAll,
		Now:               func() time.Time { return middle(kp.Leaf.Lifetime) },
		MaxResumptionPSKs: 1000,
		ExternalCommits:   true,
		ExternalProposals: true,
		PSK: func(p PSK) ([]byte, error) {
			for _, e := range v.ExternalPSKs {
				if p.GroupID == nil && bytes.Equal(e.ID, p.ID) {
					return e.Key, nil
				}
			}
			return nil, errors.New("unknown")
		},
	}
	secrets := marshal(&keyPackageSecrets{must(s.parseHPKEKey(scalar(s, v.Init)))(t), must(s.parseHPKEKey(scalar(s, v.Encryption)))(t)})
	key := must(NewSignatureKey(s.id, scalar(s, v.Signature)))(t)
	g, _, err := Client{Key: key}.Join(cfg, v.Welcome, kp, secrets, v.Tree)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "initial epoch authenticator", g.EpochAuthenticator(), v.Authenticator)
	store := newStore(t, g)
	for n, e := range v.Epochs {
		for _, p := range e.Proposals {
			store.apply(must(g.HandleProposal(p))(t))
		}
		staged, err := g.Stage(e.Commit)
		if err != nil {
			t.Fatalf("epoch %d: %v", n, err)
		}
		store.apply(must(g.Apply(staged))(t))
		equal(t, "epoch authenticator", g.EpochAuthenticator(), e.Authenticator)
		store.same(g)
		if n%8 == 0 {
			g = store.load(cfg)
		}
	}
}
