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

// passkey signs what a security key would for the challenge of a warrant.
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
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	shapes := []chartertest.Shape{testlaw.Small[0], testlaw.Small[1]}
	shapes[0].WebAuthn = []charter.WebAuthnKey{{CredentialID: []byte{1}, Algorithm: charter.EdDSA, PublicKey: public}}
	w := testlaw.New(t, nil, shapes...)
	_, d := w.StartDocket(t.TempDir())
	c := lodge(t, w, &examine.Agency{Name: testlaw.Agency, Key: examine.AgencyKey(w.AgencyKey), Docket: d})
	h := c.Warrant.Hash()
	office := shapes[0].Office
	approve := func(of warrant.Hash) (*api.ApproveResponse, error) {
		a := warrant.Approval{Office: office, Approver: office + "-key-1", Kind: warrant.WebAuthn, Signature: passkey(private, office, of)}
		return d.Approve(ctx, &api.ApproveRequest{WarrantHash: h[:], Approval: warrant.EncodeApprovals([]warrant.Approval{a})})
	}
	if _, err := approve(warrant.Hash{1}); true {
		code(t, "an assertion for another warrant", err, connect.CodePermissionDenied)
	}
	out, err := approve(h)
	if err != nil || len(out.Missing) != 1 || out.Missing[0] == office {
		t.Fatalf("%v, %v", out, err)
	}
}
