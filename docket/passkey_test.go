package docket_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"testing"

	"connectrpc.com/connect"

	"writ/api"
	"writ/charter"
	"writ/charter/chartertest"
	"writ/examine"
	"writ/internal/testlaw"
	"writ/warrant"
)

// passkey signs what a security key would for the challenge of an approval.
func passkey(private ed25519.PrivateKey, office string, h warrant.Hash) []byte {
	challenge := warrant.Challenge(office, h)
	client := fmt.Appendf(nil, `{"type":"webauthn.get","challenge":"%s","origin":"https://writ.example","crossOrigin":false}`,
		base64.RawURLEncoding.EncodeToString(challenge[:]))
	relyingParty, sum := sha256.Sum256([]byte("writ.example")), sha256.Sum256(client)
	const presentAndVerified = 0x05
	data := append(relyingParty[:], presentAndVerified, 0, 0, 0, 1)
	a := warrant.Assertion{AuthenticatorData: data, ClientDataJSON: client,
		Signature: ed25519.Sign(private, append(data[:len(data):len(data)], sum[:]...))}
	return a.Encode()
}

// An approver with a passkey approves a warrant that the docket can't read.
func TestPasskeyApproval(t *testing.T) {
	t.Parallel()
	key, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	shapes := []chartertest.Shape{testlaw.Small[0], testlaw.Small[1]}
	shapes[0].WebAuthn = []charter.WebAuthnKey{{CredentialID: []byte{1}, Algorithm: charter.EdDSA, PublicKey: key}}
	w := testlaw.New(t, nil, shapes...)
	_, d := w.StartDocket(t.TempDir())
	c := lodge(t, w, &examine.Agency{Name: testlaw.Agency, Key: examine.AgencyKey(w.AgencyKey), Docket: d})
	h, public := c.Warrant.Hash(), c.Warrant.Public(c.Salt, w.Charter)
	office := shapes[0].Office
	approve := func(of warrant.Hash) (*api.ApproveResponse, error) {
		a := warrant.Approval{Office: office, Approver: office + "-key-1", Kind: warrant.WebAuthn, Signature: passkey(private, office, of)}
		return d.Approve(ctx, &api.ApproveRequest{WarrantHash: h[:], Approval: warrant.EncodeApprovals([]warrant.Approval{a})})
	}
	for what, of := range map[string]warrant.Hash{"another warrant": {1}, "the warrant's hash": h} {
		_, err := approve(of)
		code(t, "an assertion for "+what, err, connect.CodePermissionDenied)
	}
	out, err := approve(public.Hash())
	if err != nil || len(out.Missing) != 1 || out.Missing[0] == office {
		t.Fatalf("%v, %v", out, err)
	}
}
