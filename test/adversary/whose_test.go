package adversary

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	"writ/api"
	"writ/bundle"
	"writ/capsule"
	"writ/charter"
	"writ/directory"
	"writ/directory/directorytest"
	"writ/directory/keyproof"
	"writ/examine"
	"writ/internal/testenv"
	"writ/mls"
)

// TM-28: delivery and the agency, with a warrant and every custodian's honest release,
// invent a conversation under a person's name: with a key of their own, with another
// account's, with one that the person revoked, with one stolen later. They tell the
// directory's answers as they like. In none of their bundles is the key the person's.
func TestInventedConversation(t *testing.T) {
	t.Parallel()
	w := small(t)
	now := time.Now()
	phone, tablet, bens, own := newKey(), newKey(), newKey(), newKey()
	w.Directory.Stamp(now.Add(-3 * time.Hour))
	state1(t, w.Directory, "ann", "phone", phone)
	state1(t, w.Directory, "ben", "phone", bens)
	w.Directory.Stamp(now.Add(-2 * time.Hour))
	before := w.Directory.Proof("ann")
	revoke(t, w.Directory, "ann", "phone", "tablet", tablet)
	w.Directory.Stamp(time.Time{})
	c := w.Authorise("ann")

	fork := directorytest.New(time.Now) // the directory's operator, whom no witness follows
	state1(t, fork, "ann", "phone", own)
	unwitnessed := fork.Proof("ann")
	unwitnessed.Checkpoint = unwitnessed.Checkpoint[:bytes.LastIndex(unwitnessed.Checkpoint, []byte("— "))]
	for what, x := range map[string]struct {
		device string
		key    *mls.SignatureKey
		opened time.Time
	}{
		"a key of their own":             {"phone", own, now},
		"a key of their own, long ago":   {"phone", own, now.Add(-150 * time.Minute)},
		"a device of their own":          {"laptop", own, now},
		"the key of another":             {"phone", bens, now},
		"a key that was revoked":         {"phone", phone, now},
		"a key stolen, before it was":    {"tablet", tablet, now.Add(-150 * time.Minute)},
		"the key of her other device":    {"phone", tablet, now},
		"the revoked key as the other's": {"tablet", phone, now},
	} {
		contents := testenv.Contents(invent(t, w, c, directory.Identity{Account: "ann", Device: x.device}, x.key, x.opened))
		for how, proof := range map[string]*keyproof.Proof{"told truly": nil, "left out": {}, "of before": before, "another's": w.Directory.Proof("ben"),
			"without a witness": unwitnessed, "another's, renamed": {Account: "ann", Checkpoint: w.Directory.Proof("ben").Checkpoint, Lookup: w.Directory.Proof("ben").Lookup}} {
			told := contents
			switch {
			case proof == nil:
			case proof.Account == "":
				told.Accounts = nil
			default:
				told.Accounts = [][]byte{proof.Encode()}
			}
			b, _, err := bundle.Build(told, w.Policy)
			if err != nil {
				continue
			}
			report := must(bundle.Verify(b, w.Policy))
			if report.KeysProven || !strings.Contains(report.Text(), "NOT PROVEN") {
				breach(t, "with %s, %s: the evidence calls it ann's", what, how)
			}
		}
	}
	genuine := testenv.Contents(invent(t, w, c, directory.Identity{Account: "ann", Device: "tablet"}, tablet, now))
	if report := must(bundle.Verify(built(genuine, w.Policy), w.Policy)); !report.KeysProven {
		t.Errorf("with her own key: %q", report.Unproven)
	}
}

func newKey() *mls.SignatureKey {
	return must(mls.GenerateSignatureKey(mls.X25519_CHACHA20POLY1305_SHA256_Ed25519))
}

func signerOf(k *mls.SignatureKey) directory.DeviceSigner {
	return directory.DeviceSigner(ed25519.NewKeyFromSeed(k.Bytes()[:ed25519.SeedSize]))
}

// state1 puts an account's first statement on a directory's log.
func state1(t testing.TB, d *directorytest.Directory, account, device string, key *mls.SignatureKey) {
	t.Helper()
	s := &directory.Statement{Account: account, Version: 1, Recovery: directorytest.Recovery(account).Public()}
	s.Add(device, directory.DeviceKey(key.Public()), uint64(time.Now().Add(-3*time.Hour).Unix()))
	s.SignAs(device, signerOf(key))
	d.Force(s)
}

// revoke puts another device in the place of one, by the recovery key.
func revoke(t testing.TB, d *directorytest.Directory, account, device, other string, key *mls.SignatureKey) {
	t.Helper()
	s := d.Chain(account).Draft()
	s.Drop(device)
	s.Add(other, directory.DeviceKey(key.Public()), uint64(time.Now().Add(-2*time.Hour).Unix()))
	s.SignRecovery(directorytest.Recovery(account))
	if _, err := d.Chain(account).Follow(s); err != nil {
		t.Fatal(err)
	}
	d.Force(s)
}

// invent opens a conversation that delivery made up, in which a device confesses.
func invent(t testing.TB, w *testenv.World, c *examine.Case, id directory.Identity, key *mls.SignatureKey, opened time.Time) *examine.Opened {
	t.Helper()
	config := w.Examiner()
	config.Delivery = whole{config.Delivery, w, func() *api.Compartment { return confession(t, w, id, key, opened) }}
	opening, err := examine.Open(ctx, config, c)
	w.Must(err)
	return opening.Parts[0]
}

// confession is a compartment of a conversation of one device, as delivery would
// disclose it.
func confession(t testing.TB, w *testenv.World, id directory.Identity, key *mls.SignatureKey, opened time.Time) *api.Compartment {
	t.Helper()
	law, now := w.Charter.Hash(), uint64(time.Now().Unix())
	mlsConfig := mls.Config{Authenticate: func(*mls.LeafNode) error { return nil }, Now: time.Now}
	g := must(mls.Client{Credential: mls.Credential{Identity: id.Encode()}, Key: key, Extensions: []mls.Extension{{Type: charter.LeafExtensionType, Data: law[:]}},
		Lifetime: mls.Lifetime{NotBefore: now - 3600, NotAfter: now + 86400}}.NewGroup(mlsConfig, mid(), nil))
	public := must(mls.NewPublicGroup(mlsConfig, must(g.GroupInfo(nil, true)), nil))
	ratchet, senderData, err := g.SenderSecrets(g.Epoch(), g.OwnLeaf())
	w.Must(err)
	l := &capsule.Label{Suite: uint16(g.Suite()), Conversation: slices.Clone(g.ID()), Epoch: g.Epoch(), Leaf: uint32(g.OwnLeaf()), Account: id.Account, Device: id.Device,
		Charter: law, Period: w.Charter.Period(opened), Opened: uint64(opened.Unix()), Roster: directory.RosterRoot([]string{id.Account})}
	sealed := must(must(capsule.NewSealer(must(w.Charter.Access(l.Period, nil)))).Seal(l, ratchet, senderData))
	hash := sealed.Hash()
	message, _, err := g.Protect(hash[:], capsule.Content(g.Generation(), []byte("I confess.")))
	w.Must(err)
	part := &bundle.Compartment{Capsule: sealed.Bytes(), GroupContext: public.Context().Bytes(),
		Messages: []bundle.Message{{Seq: 1, Received: now * 1000, Ciphertext: message}}}
	state(w, part)
	return &api.Compartment{Conversation: l.Conversation, Epoch: l.Epoch, Leaf: l.Leaf, Opened: l.Opened, Capsules: [][]byte{part.Capsule},
		GroupContext: part.GroupContext, LeafProof: must(public.ProveLeaf(g.OwnLeaf())), Count: part.Count, Statement: part.Statement,
		Messages: []*api.Message{{Seq: 1, ReceivedMs: now * 1000, Body: message}}}
}
