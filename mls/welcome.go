package mls

import (
	"bytes"
	"slices"
)

// welcome is Welcome of RFC 9420 12.4.3.1.
type welcome struct {
	suite              CipherSuite
	secrets            []encryptedGroupSecrets
	encryptedGroupInfo []byte
}

// encryptedGroupSecrets is EncryptedGroupSecrets of RFC 9420 12.4.3.1.
type encryptedGroupSecrets struct {
	newMember []byte // KeyPackageRef
	secrets   hpkeCiphertext
}

func (e encryptedGroupSecrets) encode(w *writer) {
	w.opaque(e.newMember)
	e.secrets.encode(w)
}

func (m *welcome) encode(w *writer) {
	w.uint16(uint16(m.suite))
	encodeAll(w, m.secrets)
	w.opaque(m.encryptedGroupInfo)
}

func decodeWelcome(r *reader) *welcome {
	return &welcome{
		suite: CipherSuite(r.uint16()),
		secrets: decodeAll(r, func(r *reader) encryptedGroupSecrets {
			return encryptedGroupSecrets{r.opaque(), decodeHPKECiphertext(r)}
		}),
		encryptedGroupInfo: r.opaque(),
	}
}

// groupSecrets is GroupSecrets of RFC 9420 12.4.3.1.
type groupSecrets struct {
	joiner     []byte
	pathSecret []byte // nil when absent
	psks       []pskID
}

func (g *groupSecrets) encode(w *writer) {
	w.opaque(g.joiner)
	if w.present(g.pathSecret != nil) {
		w.opaque(g.pathSecret)
	}
	encodeAll(w, g.psks)
}

func decodeGroupSecrets(r *reader) *groupSecrets {
	g := &groupSecrets{joiner: r.opaque()}
	if r.present() {
		if g.pathSecret = r.opaque(); g.pathSecret == nil {
			g.pathSecret = []byte{}
		}
	}
	g.psks = decodeAll(r, decodePSKID)
	return g
}

// welcomeKey encrypts the GroupInfo of a Welcome (RFC 9420 12.4.3.1).
func (s *suite) welcomeKey(joiner, psk []byte) messageKey {
	secret := s.welcomeSecret(joiner, psk)
	defer clear(secret)
	return messageKey{
		s.expandWithLabel(secret, "key", nil, s.nk),
		s.expandWithLabel(secret, "nonce", nil, nonceSize),
	}
}

// Join enters a group by a Welcome to kp, a key package of this client's Key (RFC 9420
// 12.4.3.1). The tree comes from the Welcome itself, or as ratchetTree. The caller
// erases secrets once the group's State is stored.
func (c Client) Join(cfg Config, welcome []byte, kp *KeyPackage, secrets, ratchetTree []byte) (*Group, *GroupInfo, error) {
	j, err := c.openWelcome(cfg, welcome, kp, secrets, ratchetTree)
	if err != nil {
		return nil, nil, err
	}
	defer j.erase()
	e, err := j.enter()
	if err != nil {
		return nil, nil, err
	}
	return newGroup(j.cfg, e), j.info.verified(), nil
}

func (j *joining) erase() {
	if j.group != nil {
		clear(j.group.joiner)
	}
	clear(j.psk)
	j.secrets.erase()
}

// openWelcome does all but derive the epoch's secrets.
func (c Client) openWelcome(cfg Config, msg []byte, kp *KeyPackage, secrets, ratchetTree []byte) (*joining, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	s, err := c.suite()
	if err != nil {
		return nil, err
	}
	m, err := parse(msg, decodeMessage)
	if err != nil {
		return nil, err
	}
	if m.welcome == nil {
		return nil, invalid("wire format %d is not a Welcome", m.format)
	}
	if m.welcome.suite != kp.Suite || s.id != kp.Suite {
		return nil, invalid("Welcome of suite %#04x for a key package of %#04x", uint16(m.welcome.suite), uint16(kp.Suite))
	}
	if !bytes.Equal(c.Key.public, kp.Leaf.SignatureKey) {
		return nil, invalid("key package of another signature key")
	}
	private, err := kp.parseSecrets(s, secrets)
	if err != nil {
		return nil, err
	}
	j := &joining{cfg: cfg, suite: s, kp: kp, secrets: private, signer: c.Key}
	if err := j.openSecrets(m.welcome); err != nil {
		j.erase()
		return nil, err
	}
	if err := j.openTree(ratchetTree); err != nil {
		j.erase()
		return nil, err
	}
	return j, nil
}

// joining is the way into a group, step by step.
type joining struct {
	cfg     Config
	suite   *suite
	kp      *KeyPackage
	secrets *keyPackageSecrets
	signer  *SignatureKey

	group *groupSecrets // openSecrets
	psk   []byte
	info  *groupInfo
	tree  *ratchetTree // openTree
	own   LeafIndex
}

// openSecrets decrypts what the Welcome holds for this key package.
func (j *joining) openSecrets(m *welcome) error {
	ref := j.kp.Ref()
	k := slices.IndexFunc(m.secrets, func(e encryptedGroupSecrets) bool { return bytes.Equal(e.newMember, ref) })
	if k < 0 {
		return invalid("Welcome for other key packages") // 12.4.3.1
	}
	plain, err := j.suite.decryptWithLabel(j.secrets.init, "Welcome", m.encryptedGroupInfo, m.secrets[k].secrets)
	if err != nil {
		return err
	}
	defer clear(plain)
	if j.group, err = parse(plain, decodeGroupSecrets); err != nil {
		return err
	}
	if j.psk, err = j.pskSecret(); err != nil {
		return err
	}
	key := j.suite.welcomeKey(j.group.joiner, j.psk)
	defer key.erase()
	info, err := j.suite.openAEAD(key.key, key.nonce, nil, m.encryptedGroupInfo)
	if err != nil {
		return invalid("group info: %w", err) // 12.4.3.1
	}
	if j.info, err = parse(info, decodeGroupInfo); err != nil {
		return err
	}
	if j.info.context.Suite != j.kp.Suite {
		return invalid("group of suite %#04x", uint16(j.info.context.Suite)) // 12.4.3.1
	}
	return nil
}

func (j *joining) pskSecret() ([]byte, error) {
	ids := j.group.psks
	if k := slices.IndexFunc(ids, pskID.inherited); k >= 0 && slices.ContainsFunc(ids[k+1:], pskID.inherited) {
		return nil, invalid("Welcome with two PSKs for a ReInit or branch") // 12.4.3.1
	}
	var keys [][]byte
	for i, id := range ids {
		if len(id.nonce) != j.suite.nh {
			return nil, invalid("PSK of a Welcome with a nonce of %d bytes", len(id.nonce)) // 8.4
		}
		if slices.ContainsFunc(ids[:i], id.same) {
			return nil, invalid("PSK twice in a Welcome") // 12.2
		}
		key, err := j.cfg.lookupPSK(id)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return j.suite.pskSecret(ids, keys), nil
}

// openTree verifies the tree and the GroupInfo's signature, and finds the own leaf.
func (j *joining) openTree(tree []byte) error {
	var err error
	if j.tree, err = j.info.verifiedTree(j.suite, tree, j.cfg.Authenticate); err != nil {
		return err
	}
	own := j.kp.Leaf.Bytes()
	for i, l := range j.tree.members() {
		if bytes.Equal(l.SignatureKey, j.kp.Leaf.SignatureKey) && bytes.Equal(l.Bytes(), own) {
			j.own = i
			return nil
		}
	}
	return invalid("own leaf is not in the tree") // 12.4.3.1
}

// enter derives the epoch and checks the confirmation tag.
func (j *joining) enter() (*epoch, error) {
	s, c := j.suite, &j.info.context
	keys := treeKeys{j.own.node(): j.secrets.encryption.clone()}
	if j.group.pathSecret != nil {
		steps := j.tree.filteredPath(j.info.signer)
		k := slices.IndexFunc(steps, func(s pathStep) bool { return s.node.covers(j.own.node()) })
		if k < 0 || j.info.signer == j.own {
			return nil, invalid("path secret for no node") // 12.4.3.1
		}
		fresh, commitSecret, err := j.tree.climb(steps[k:], j.group.pathSecret)
		if err != nil {
			return nil, err
		}
		clear(commitSecret)
		for x, key := range fresh {
			keys[x] = key
		}
	}
	contextBytes := c.Bytes()
	secrets, encryption := s.deriveEpoch(s.epochSecret(j.group.joiner, j.psk, contextBytes))
	if !s.verifyMAC(secrets.confirmation, c.ConfirmedTranscriptHash, j.info.confirmationTag) {
		return nil, invalid("confirmation tag of the group info") // 12.4.3.1
	}
	return &epoch{
		publicState: newPublicState(s, *c, j.tree, j.info.confirmationTag),
		own:         j.own,
		signer:      j.signer,
		keys:        keys,
		secrets:     secrets,
		messages:    newSecretTree(s, c.Epoch, j.tree.width(), encryption),
	}, nil
}
