package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// Bounds of a policy text. A signed note carries at most 100 signatures.
const (
	MaxPolicy    = 16 << 10 // bytes
	MaxWitnesses = 64
)

// Signature types of c2sp.org/signed-note.
const (
	typeEd25519     = 0x01
	typeCosignature = 0x04
)

// Policy says which log is meant and which witnesses must have cosigned its
// checkpoints. It is immutable and safe for concurrent use.
type Policy struct {
	text      string
	logVKey   string
	log       note.Verifier
	logKey    string // raw public key
	witnesses []Witness
	quorum    *component
	keys      map[string]bool // raw public keys of the log and all witnesses
}

// Witness is one witness of a policy.
type Witness struct {
	Name string // the policy's word for it
	VKey string // name+keyid+key, c2sp.org/signed-note

	verifier cosignatureVerifier
}

// component is a witness or a group of a policy's tree.
type component struct {
	witness   int // index into Policy.witnesses, or -1 for a group
	threshold int
	members   []*component
	used      bool // is a member of a group already
}

// ParsePolicy parses the text of a policy: lines of
//
//	log <vkey>
//	witness <name> <vkey>
//	group <name> <threshold | any | all> <member>...
//	quorum <name>
//
// in which "#" starts a comment and a name is defined before its use. It
// refuses what would let one party count twice or nobody count: a policy
// without exactly one log and one quorum, a quorum of none, a threshold below 1
// or above the number of members, a member of two groups, a raw key that occurs
// twice, under whatever name.
func ParsePolicy(text string) (*Policy, error) {
	if len(text) > MaxPolicy {
		return nil, malformed("policy of %d bytes, at most %d are allowed", len(text), MaxPolicy)
	}
	b := policyBuilder{
		policy: Policy{text: text, keys: map[string]bool{}},
		names:  map[string]*component{},
		ids:    map[string]bool{},
	}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if err := b.line(fields); err != nil {
			return nil, fmt.Errorf("%w (policy line %d)", err, i+1)
		}
	}
	switch {
	case b.policy.log == nil:
		return nil, invalid("policy names no log")
	case b.policy.quorum == nil:
		return nil, invalid("policy has no quorum")
	}
	return &b.policy, nil
}

// String returns the text of the policy as it was parsed.
func (p *Policy) String() string { return p.text }

// Origin returns the origin line that the log's checkpoints carry: the name
// in its key.
func (p *Policy) Origin() string { return p.log.Name() }

// LogVKey returns the log's key as c2sp.org/signed-note writes it.
func (p *Policy) LogVKey() string { return p.logVKey }

// Witnesses returns the witnesses in the order of the text.
func (p *Policy) Witnesses() []Witness { return append([]Witness(nil), p.witnesses...) }

// Verifier returns the verifier of the log's or a witness's signature, as
// [note.Verifiers] wants it.
func (p *Policy) Verifier(name string, hash uint32) (note.Verifier, error) {
	if p.log.Name() == name && p.log.KeyHash() == hash {
		return p.log, nil
	}
	if i := p.witness(name, hash); i >= 0 {
		return p.witnesses[i].verifier, nil
	}
	return nil, &note.UnknownVerifierError{Name: name, KeyHash: hash}
}

func (p *Policy) witness(name string, hash uint32) int {
	for i, w := range p.witnesses {
		if w.verifier.name == name && w.verifier.hash == hash {
			return i
		}
	}
	return -1
}

// satisfied reports whether the witnesses of the set, by index, are a quorum.
func (c *component) satisfied(set []bool) bool {
	if c.witness >= 0 {
		return set[c.witness]
	}
	n := 0
	for _, m := range c.members {
		if m.satisfied(set) {
			n++
		}
	}
	return n >= c.threshold
}

type policyBuilder struct {
	policy Policy
	names  map[string]*component
	ids    map[string]bool // key name and id seen: a note can't tell such keys apart
}

func (b *policyBuilder) line(f []string) error {
	switch {
	case f[0] == "log" && len(f) == 2:
		return b.addLog(f[1])
	case f[0] == "witness" && len(f) == 3:
		return b.addWitness(f[1], f[2])
	case f[0] == "group" && len(f) >= 4:
		return b.addGroup(f[1], f[2], f[3:])
	case f[0] == "quorum" && len(f) == 2:
		return b.setQuorum(f[1])
	}
	return malformed("%q is not a line of a policy", strings.Join(f, " "))
}

func (b *policyBuilder) addLog(vkey string) error {
	if b.policy.log != nil {
		return invalid("policy names two logs")
	}
	key, err := b.addKey(vkey, typeEd25519)
	if err != nil {
		return err
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return malformed("log key: %v", err)
	}
	b.policy.log, b.policy.logVKey, b.policy.logKey = v, vkey, string(key.key)
	return nil
}

func (b *policyBuilder) addWitness(name, vkey string) error {
	if len(b.policy.witnesses) == MaxWitnesses {
		return malformed("more than %d witnesses", MaxWitnesses)
	}
	v, err := b.addKey(vkey, typeCosignature)
	if err != nil {
		return err
	}
	w := Witness{Name: name, VKey: vkey, verifier: v}
	b.policy.witnesses = append(b.policy.witnesses, w)
	return b.define(name, &component{witness: len(b.policy.witnesses) - 1})
}

func (b *policyBuilder) addGroup(name, threshold string, members []string) error {
	g := &component{witness: -1}
	for _, m := range members {
		c, ok := b.names[m]
		switch {
		case !ok:
			return invalid("group %q has an undefined member %q", name, m)
		case c.used:
			return invalid("%q is a member twice", m)
		}
		c.used = true
		g.members = append(g.members, c)
	}
	switch threshold {
	case "any":
		g.threshold = 1
	case "all":
		g.threshold = len(members)
	default:
		n, err := strconv.Atoi(threshold)
		if err != nil || strconv.Itoa(n) != threshold {
			return malformed("threshold %q", threshold)
		}
		g.threshold = n
	}
	if g.threshold < 1 || g.threshold > len(members) {
		return invalid("threshold %d of %d members", g.threshold, len(members))
	}
	return b.define(name, g)
}

func (b *policyBuilder) setQuorum(name string) error {
	c, ok := b.names[name]
	switch {
	case b.policy.quorum != nil:
		return invalid("policy has two quorums")
	case !ok:
		return invalid("quorum %q is not defined", name)
	}
	b.policy.quorum = c
	return nil
}

func (b *policyBuilder) define(name string, c *component) error {
	switch name {
	case "log", "witness", "group", "quorum", "any", "all", "none":
		return malformed("%q is a keyword", name)
	}
	if b.names[name] != nil {
		return invalid("%q is defined twice", name)
	}
	b.names[name] = c
	return nil
}

// addKey parses a vkey and refuses a key it has met before.
func (b *policyBuilder) addKey(vkey string, sigType byte) (cosignatureVerifier, error) {
	v, err := parseVKey(vkey, sigType)
	if err != nil {
		return v, err
	}
	id := fmt.Sprintf("%s %08x", v.name, v.hash)
	if b.policy.keys[string(v.key)] || b.ids[id] {
		return v, invalid("the key of %q occurs twice", v.name)
	}
	b.policy.keys[string(v.key)], b.ids[id] = true, true
	return v, nil
}

// parseVKey parses <name>+<key id>+<base64(type || key)> of an Ed25519 key of
// the given signature type (c2sp.org/signed-note).
func parseVKey(vkey string, sigType byte) (v cosignatureVerifier, err error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 || !validKeyName(parts[0]) {
		return v, malformed("key %q", vkey)
	}
	key, err := base64.StdEncoding.Strict().DecodeString(parts[2])
	switch {
	case err != nil || len(key) == 0:
		return v, malformed("key %q", vkey)
	case key[0] != sigType:
		return v, unsupported("key %q is of type %#x, not %#x", vkey, key[0], sigType)
	case len(key) != 1+ed25519.PublicKeySize:
		return v, malformed("key %q has %d bytes", vkey, len(key)-1)
	}
	hash := keyID(parts[0], key)
	if parts[1] != fmt.Sprintf("%08x", hash) {
		return v, invalid("key %q has another key id", vkey)
	}
	return cosignatureVerifier{name: parts[0], hash: hash, key: key[1:]}, nil
}

func validKeyName(s string) bool {
	return s != "" && utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsSpace) < 0
}

// keyID returns the key id of c2sp.org/signed-note:
// SHA-256(name || "\n" || type || key)[:4].
func keyID(name string, typeAndKey []byte) uint32 {
	h := sha256.Sum256(append([]byte(name+"\n"), typeAndKey...))
	return binary.BigEndian.Uint32(h[:4])
}
