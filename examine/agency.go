package examine

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"writ/api"
	"writ/charter"
	"writ/internal/wire"
	"writ/unseal"
	"writ/warrant"
)

// AgencyKey is the key with which an agency signs its calls to the docket.
type AgencyKey ed25519.PrivateKey

// Agency is a requesting authority towards the docket.
type Agency struct {
	Name   string
	Key    AgencyKey
	Docket api.DocketClient
}

func (a *Agency) sign(name string, content []byte) []byte {
	return ed25519.Sign(ed25519.PrivateKey(a.Key), wire.SignContent(name, content))
}

// NewCase gives a warrant fresh salts. Its reader key must be the warrant's.
func NewCase(w *warrant.Warrant, reader *unseal.ReaderKey) (*Case, error) {
	if !bytes.Equal(reader.Public(), w.ReaderKey) {
		return nil, errors.New("examine: invalid: the warrant names another reader key")
	}
	c := &Case{Warrant: w, Reader: reader}
	rand.Read(c.Salt[:])
	rand.Read(c.NoticeSalt[:])
	return c, nil
}

// Lodge hands the warrant in for approval: sealed with its salt to every approver
// of the offices that must approve, as "office/approver".
func (a *Agency) Lodge(ctx context.Context, c *Case, law *charter.Charter) error {
	var to []warrant.Recipient
	for _, r := range law.WarrantRules(c.Warrant.Flags&warrant.IsPrivileged != 0) {
		for _, p := range law.Office(r.Office).Approvers {
			to = append(to, warrant.Recipient{ID: r.Office + "/" + p.ID, MailKey: p.Mail})
		}
	}
	envelope, err := warrant.Seal(warrant.Salted(c.Warrant, c.Salt), to)
	if err != nil {
		return fmt.Errorf("examine: %w", err)
	}
	// The first call to succeed decides the envelope; sealing again differs.
	hash := c.Warrant.Hash()
	if old, err := a.Docket.GetWarrant(ctx, &api.GetWarrantRequest{WarrantHash: hash[:]}); err == nil {
		envelope = old.Envelope
	}
	content := lodgement(c, law, envelope)
	_, err = a.Docket.Lodge(ctx, &api.LodgeRequest{Agency: a.Name, Lodgement: content, Envelope: envelope,
		Signature: a.sign("docket lodge", content)})
	return err
}

// lodgement encodes what the docket may know: see api/docket.proto.
func lodgement(c *Case, law *charter.Charter, envelope []byte) []byte {
	w := c.Warrant
	hash, sum := w.Hash(), sha256.Sum256(envelope)
	public := w.Public(c.Salt, law)
	var b wire.Writer
	b.Fixed(hash[:])
	b.Fixed(public.Encode())
	b.Fixed(sum[:])
	return b.Bytes()
}

// Publish puts an approved warrant on the ledger and returns where it stands.
func (a *Agency) Publish(ctx context.Context, h warrant.Hash) (*api.LoggedEntry, error) {
	out, err := a.Docket.Publish(ctx, &api.PublishRequest{Agency: a.Name, WarrantHash: h[:], Signature: a.sign("docket publish", h[:])})
	if err != nil {
		return nil, err
	}
	return out.Entry, nil
}

// Request puts a request for compartments on the ledger, with the round and
// timelock of its notice. Leaves are ascending and distinct.
func (a *Agency) Request(ctx context.Context, h warrant.Hash, leaves [][]byte, round uint64, timelock []byte) (*api.LoggedEntry, error) {
	var b wire.Writer
	b.Fixed(h[:])
	b.Opaque(bytes.Join(leaves, nil))
	b.Uint64(round)
	b.Opaque(timelock)
	out, err := a.Docket.RequestRelease(ctx, &api.RequestReleaseRequest{Agency: a.Name, WarrantHash: h[:], Leaves: leaves,
		Round: round, Timelock: timelock, Signature: a.sign("docket request", b.Bytes())})
	if err != nil {
		return nil, err
	}
	return out.Entry, nil
}

// KeepPart has the docket keep one part of a sealed bundle's key. The bundle is
// of a request entry of the warrant.
func (a *Agency) KeepPart(ctx context.Context, h warrant.Hash, requestIndex uint64, bundle, part [32]byte) error {
	var b wire.Writer
	b.Fixed(h[:])
	b.Uint64(requestIndex)
	b.Fixed(bundle[:])
	b.Fixed(part[:])
	_, err := a.Docket.KeepPart(ctx, &api.KeepPartRequest{Agency: a.Name, WarrantHash: h[:], RequestIndex: requestIndex,
		Bundle: bundle[:], Part: part[:], Signature: a.sign("docket keep", b.Bytes())})
	return err
}
