package examine

import (
	"context"
	"fmt"

	"writ/api"
	"writ/charter"
	"writ/unseal"
	"writ/warrant"
)

// ReaderKey is the private key to which custodians seal what they release.
type ReaderKey = unseal.ReaderKey

// NewReaderKey makes a reader key.
func NewReaderKey() (*ReaderKey, error) { return unseal.NewReaderKey() }

// ParseReaderKey parses [ReaderKey.Bytes].
func ParseReaderKey(b []byte) (*ReaderKey, error) { return unseal.ParseReaderKey(b) }

// Reason is the code of a custodian's refusal, as the ledger states it; its
// String is a sentence.
type Reason = unseal.Reason

// Package is what a custodian is sent, before it is sealed to its mail key.
type Package = unseal.Request

// PackagePart is one compartment of a [Package].
type PackagePart = unseal.Compartment

// Ask sends a custodian any package and returns its answer as it came: for
// whoever wants to see what custodians refuse.
func Ask(ctx context.Context, client api.CustodianClient, law *charter.Charter, office, custodian string, p *Package) (*api.ReleaseResponse, error) {
	sealed, err := seal(law.Custodian(office, custodian), office, p)
	if err != nil {
		return nil, err
	}
	return client.Release(ctx, &api.ReleaseRequest{SealedRequest: sealed})
}

// seal closes a package so that only the custodian reads it.
func seal(c *charter.Custodian, office string, p *Package) ([]byte, error) {
	content := p.Encode()
	if len(content) > unseal.MaxRequest {
		return nil, fmt.Errorf("examine: refused: a request of %d bytes, at most %d are allowed", len(content), unseal.MaxRequest)
	}
	if c == nil {
		return nil, fmt.Errorf("examine: invalid: no such custodian of %s", office)
	}
	return warrant.Seal(content, []warrant.Recipient{{ID: office + "/" + c.ID, MailKey: c.Mail}})
}
