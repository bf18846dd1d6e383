package warrant

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"writ/charter"
)

// authenticator is a security key that signs what it is told, as a real one
// does inside: assertions in the tests differ from good ones in one thing.
type authenticator struct {
	private crypto.Signer
	public  charter.WebAuthnKey
}

func newAuthenticator(t testing.TB, alg charter.Algorithm) *authenticator {
	a := &authenticator{public: charter.WebAuthnKey{CredentialID: []byte{1, byte(alg)}, Algorithm: alg}}
	if alg == charter.EdDSA {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		a.private, a.public.PublicKey = private, public
		return a
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.private = private
	if a.public.PublicKey, err = private.PublicKey.Bytes(); err != nil {
		t.Fatal(err)
	}
	return a
}

// ceremony is what goes into an assertion.
type ceremony struct {
	rp     string
	flags  byte
	extra  []byte
	client map[string]any
}

func goodCeremony(office string, h Hash) *ceremony {
	challenge := Challenge(office, h)
	return &ceremony{rp: "writ.example", flags: flagUserPresent | flagUserVerified, client: map[string]any{
		"type":        "webauthn.get",
		"challenge":   base64.RawURLEncoding.EncodeToString(challenge[:]),
		"origin":      "https://writ.example",
		"crossOrigin": false,
	}}
}

func (a *authenticator) assert(t testing.TB, c *ceremony) Assertion {
	id := sha256.Sum256([]byte(c.rp))
	data := append(append(id[:], c.flags, 0, 0, 0, 7), c.extra...)
	client, err := json.Marshal(c.client)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(client)
	signed, opts := append(data[:len(data):len(data)], hash[:]...), crypto.SignerOpts(crypto.Hash(0))
	if a.public.Algorithm == charter.ES256 {
		digest := sha256.Sum256(signed)
		signed, opts = digest[:], crypto.SHA256
	}
	sig, err := a.private.Sign(rand.Reader, signed, opts)
	if err != nil {
		t.Fatal(err)
	}
	return Assertion{data, client, sig}
}

func passkeyApproval(approver string, a Assertion) Approval {
	return Approval{"judicial", approver, WebAuthn, a.Encode()}
}

func TestWebAuthnAccepts(t *testing.T) {
	c := newCourt(t)
	overseer := c.sign(t, "oversight", "oversight-approver-1")
	for approver, a := range map[string]*authenticator{"judicial-key-1": c.es256, "judicial-key-2": c.eddsa} {
		good := passkeyApproval(approver, a.assert(t, goodCeremony("judicial", c.approved())))
		if _, err := c.verify([]Approval{good, overseer}); err != nil {
			t.Errorf("%s: %v", approver, err)
		}
	}
}

func TestWebAuthnRefuses(t *testing.T) {
	c := newCourt(t)
	overseer := c.sign(t, "oversight", "oversight-approver-1")
	changed := *c.warrant
	changed.Reference = "Ref. 18/2026"
	other, salted := changed.Public(salt, c.Charter), c.warrant.Public([32]byte{2}, c.Charter)
	set := func(name string, v any) func(*ceremony) { return func(c *ceremony) { c.client[name] = v } }
	for _, r := range []struct {
		name   string
		change func(*ceremony)
	}{
		{"synced passkey", func(c *ceremony) { c.flags |= flagBackupEligible }},
		{"synced and backed up", func(c *ceremony) { c.flags |= flagBackupEligible | flagBackedUp }},
		{"backed up but not eligible", func(c *ceremony) { c.flags |= flagBackedUp }},
		{"user not verified", func(c *ceremony) { c.flags &^= flagUserVerified }},
		{"user not present", func(c *ceremony) { c.flags &^= flagUserPresent }},
		{"attested data", func(c *ceremony) { c.flags |= flagAttested }},
		{"extensions", func(c *ceremony) { c.flags |= flagExtensions }},
		{"trailing data", func(c *ceremony) { c.extra = []byte{0} }},
		{"relying party", func(c *ceremony) { c.rp = "evil.example" }},
		{"origin", set("origin", "https://evil.example")},
		{"origin with a port", set("origin", "https://writ.example:8443")},
		{"type create", set("type", "webauthn.create")},
		{"challenge of another kind", set("challenge", "AAAA")},
		{"challenge is null", set("challenge", nil)},
		{"no challenge", func(c *ceremony) { delete(c.client, "challenge") }},
		{"cross origin", set("crossOrigin", true)},
		{"top origin", set("topOrigin", "https://evil.example")},
		{"replay of another warrant", func(c *ceremony) { *c = *goodCeremony("judicial", other.Hash()) }},
		{"replay of another salt", func(c *ceremony) { *c = *goodCeremony("judicial", salted.Hash()) }},
		{"of the warrant's hash", func(v *ceremony) { *v = *goodCeremony("judicial", c.warrant.Hash()) }},
		{"replay of another office", set("challenge", goodCeremony("oversight", c.approved()).client["challenge"])},
	} {
		ceremony := goodCeremony("judicial", c.approved())
		r.change(ceremony)
		v, err := c.verify([]Approval{passkeyApproval("judicial-key-1", c.es256.assert(t, ceremony)), overseer})
		wantRule(t, r.name, v, err, RuleApproval)
	}
	good := c.es256.assert(t, goodCeremony("judicial", c.approved()))
	for name, change := range map[string]func(*Assertion){
		"signature":        func(a *Assertion) { a.Signature[9] ^= 1 },
		"counter":          func(a *Assertion) { a.AuthenticatorData[36] ^= 1 },
		"client data":      func(a *Assertion) { a.ClientDataJSON = append(a.ClientDataJSON, ' ') },
		"no JSON":          func(a *Assertion) { a.ClientDataJSON = []byte("x") },
		"signature is raw": func(a *Assertion) { a.Signature = make([]byte, 64) },
	} {
		bad := Assertion{append([]byte{}, good.AuthenticatorData...), append([]byte{}, good.ClientDataJSON...), append([]byte{}, good.Signature...)}
		change(&bad)
		v, err := c.verify([]Approval{passkeyApproval("judicial-key-1", bad), overseer})
		wantRule(t, name, v, err, RuleApproval)
	}
	v, err := c.verify([]Approval{passkeyApproval("judicial-key-2", good), overseer})
	wantRule(t, "another's credential", v, err, RuleApproval)
}

// TestWebAuthnReplayCountsOnce: the same or a second assertion of one approver
// adds nothing.
func TestWebAuthnReplayCountsOnce(t *testing.T) {
	c := newCourt(t)
	c.Charter.Approval[0].Threshold = 2
	c.warrant.Charter = c.Charter.Hash()
	sign := func() Approval {
		return passkeyApproval("judicial-key-1", c.es256.assert(t, goodCeremony("judicial", c.approved())))
	}
	overseer := c.sign(t, "oversight", "oversight-approver-1")
	first := sign()
	for name, second := range map[string]Approval{"replay": first, "second touch": sign()} {
		v, err := c.verify([]Approval{first, second, overseer})
		wantRule(t, name, v, err, RuleApproval)
	}
	if _, err := c.verify([]Approval{c.sign(t, "judicial", "judicial-approver-1"), first, overseer}); err != nil {
		t.Error(err)
	}
}

func TestSyncedPasskeyIfAllowed(t *testing.T) {
	c := newCourt(t)
	c.Charter.SyncedPasskeys = true
	c.warrant.Charter = c.Charter.Hash()
	ceremony := goodCeremony("judicial", c.approved())
	ceremony.flags |= flagBackupEligible | flagBackedUp
	a := passkeyApproval("judicial-key-1", c.es256.assert(t, ceremony))
	if _, err := c.verify([]Approval{a, c.sign(t, "oversight", "oversight-approver-1")}); err != nil {
		t.Error(err)
	}
}

// TestVectorOfW3C is the authentication of WebAuthn Level 3, section 16.2,
// "ES256 Credential with No Attestation". Its signature, client data and
// relying party verify; its user was not verified, so that it approves nothing.
func TestVectorOfW3C(t *testing.T) {
	un := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key := &charter.WebAuthnKey{Algorithm: charter.ES256, PublicKey: un("04" +
		"afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61" +
		"930a56b87a2fca66334b03458abf879717c12cc68ed73290af2e2664796b9220")}
	challenge := [32]byte(un("39c0e7521417ba54d43e8dc95174f423dee9bf3cd804ff6d65c857c9abf4d408"))
	a := &Assertion{
		AuthenticatorData: un("bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b51900000000"),
		ClientDataJSON: un("7b2274797065223a22776562617574686e2e676574222c226368616c6c656e6765223a224f63446e55685158756c5455506f334a" +
			"5558543049393770767a7a59425039745a63685879617630314167222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267" +
			"222c2263726f73734f726967696e223a66616c73657d"),
		Signature: un("3046022100f50a4e2e4409249c4a853ba361282f09841df4dd4547a13a87780218deffcd38" +
			"0221008480ac0f0b93538174f575bf11a1dd5d78c6e486013f937295ea13653e331e87"),
	}
	p := party{"example.org", []string{"https://example.org"}, true}
	if err := a.checkClientData(p, challenge); err != nil {
		t.Error(err)
	}
	hash := sha256.Sum256(a.ClientDataJSON)
	if !verifyCOSE(key, append(a.AuthenticatorData[:37:37], hash[:]...), a.Signature) {
		t.Error("signature of the specification does not verify")
	}
	if err := a.verify(p, challenge, key); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "not verified") {
		t.Errorf("got %v, want a user not verified", err)
	}
}
