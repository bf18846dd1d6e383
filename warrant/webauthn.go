package warrant

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"

	"writ/charter"
	"writ/internal/wire"
)

// Assertion is what a WebAuthn authenticator and browser give for a challenge
// (W3C WebAuthn Level 3, section 5.2.2, AuthenticatorAssertionResponse):
//
//	struct { opaque authenticator_data<V>, client_data_json<V>, signature<V>; } Assertion;
type Assertion struct {
	AuthenticatorData []byte
	ClientDataJSON    []byte
	Signature         []byte
}

// Encode returns the bytes for [Approval].Signature.
func (a *Assertion) Encode() []byte {
	var w wire.Writer
	w.Opaque(a.AuthenticatorData)
	w.Opaque(a.ClientDataJSON)
	w.Opaque(a.Signature)
	return w.Bytes()
}

// ParseAssertion reads what [Assertion.Encode] wrote.
func ParseAssertion(b []byte) (*Assertion, error) {
	r := wire.NewReader(b)
	a := &Assertion{r.Opaque(maxSignature), r.Opaque(maxSignature), r.Opaque(maxSignature)}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("warrant: assertion: %w", err)
	}
	return a, nil
}

// Flags of authenticator data (WebAuthn section 6.1).
const (
	flagUserPresent    = 1 << 0
	flagUserVerified   = 1 << 2
	flagBackupEligible = 1 << 3
	flagBackedUp       = 1 << 4
	flagAttested       = 1 << 6
	flagExtensions     = 1 << 7
)

// party is the relying party a charter names.
type party struct {
	id      string
	origins []string
	synced  bool // passkeys that leave their authenticator are allowed
}

// verify is WebAuthn section 7.2 for an assertion over challenge, as far as it
// needs no state: steps are those of Level 3. The signature counter is not
// used; a repeated assertion approves the same warrant again and counts once.
func (a *Assertion) verify(p party, challenge [32]byte, k *charter.WebAuthnKey) error {
	if err := a.checkClientData(p, challenge); err != nil {
		return err
	}
	if err := a.checkAuthenticatorData(p); err != nil {
		return err
	}
	hash := sha256.Sum256(a.ClientDataJSON)                        // step 20
	signed := append(slices.Clip(a.AuthenticatorData), hash[:]...) // step 21
	if !verifyCOSE(k, signed, a.Signature) {
		return refused("WebAuthn signature does not verify")
	}
	return nil
}

// checkClientData is steps 10 to 14.
func (a *Assertion) checkClientData(p party, challenge [32]byte) error {
	values, err := object(a.ClientDataJSON)
	if err != nil {
		return fieldError("client data", "%v", err)
	}
	var got [3]string
	for i, name := range []string{"type", "challenge", "origin"} {
		if got[i], err = str(values[name]); err != nil {
			return fieldError("client data", "%s: %v", name, err)
		}
	}
	want := base64.RawURLEncoding.EncodeToString(challenge[:])
	cross, hasCross := values["crossOrigin"]
	_, hasTop := values["topOrigin"]
	switch {
	case got[0] != "webauthn.get":
		return refused("WebAuthn type %.32q", got[0])
	case subtle.ConstantTimeCompare([]byte(got[1]), []byte(want)) != 1:
		return refused("WebAuthn challenge is not of this warrant and office")
	case !slices.Contains(p.origins, got[2]):
		return refused("WebAuthn origin %.128q", got[2])
	case hasCross && string(cross) != "false" || hasTop:
		return refused("WebAuthn ceremony in a frame of another site")
	}
	return nil
}

// checkAuthenticatorData is steps 15 to 19. Extensions were not asked for, so
// there are none.
func (a *Assertion) checkAuthenticatorData(p party) error {
	const size = 32 + 1 + 4 // rpIdHash, flags, signCount
	if len(a.AuthenticatorData) != size {
		return fieldError("authenticator data", "%d bytes", len(a.AuthenticatorData))
	}
	id := sha256.Sum256([]byte(p.id))
	flags := a.AuthenticatorData[32]
	has := func(bits byte) bool { return flags&bits == bits }
	switch {
	case string(a.AuthenticatorData[:32]) != string(id[:]):
		return refused("WebAuthn relying party is another one")
	case !has(flagUserPresent):
		return refused("WebAuthn user was not present")
	case !has(flagUserVerified):
		return refused("WebAuthn user was not verified")
	case has(flagBackedUp) && !has(flagBackupEligible):
		return refused("WebAuthn backup flags contradict each other")
	case has(flagBackupEligible) && !p.synced:
		return refused("synced passkey, which the charter does not allow")
	case flags&(flagAttested|flagExtensions) != 0:
		return refused("WebAuthn data that was not asked for")
	}
	return nil
}

// verifyCOSE verifies a signature by a charter's WebAuthn key: ES256 with an
// uncompressed P-256 point of 65 bytes and an ASN.1 signature, or EdDSA with 32
// bytes.
func verifyCOSE(k *charter.WebAuthnKey, message, sig []byte) bool {
	switch k.Algorithm {
	case charter.ES256:
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), k.PublicKey)
		digest := sha256.Sum256(message)
		return err == nil && ecdsa.VerifyASN1(public, digest[:], sig)
	case charter.EdDSA:
		return len(k.PublicKey) == ed25519.PublicKeySize && ed25519.Verify(k.PublicKey, message, sig)
	}
	return false
}
