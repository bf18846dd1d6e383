package unseal

import (
	"crypto/ed25519"
	"crypto/hpke"
	"fmt"
	"time"

	"writ/capsule"
	"writ/charter"
	"writ/internal/wire"
	"writ/ledger"
	"writ/warrant"
)

// Release is one custodian's shares of all compartments of a request:
//
//	struct {
//	    uint16 version = 1;
//	    opaque request[32];        hash of the request entry
//	    Name   office, custodian;
//	    uint64 intent;             index of the release entry
//	    opaque sealed<V>;
//	    opaque signature[64];
//	} Release;
//
// Sealed is HPKE (base mode, X-Wing, HKDF-SHA256, ChaCha20-Poly1305) to the
// warrant's reader key, info H("writ/v1 release", request, custodian), the
// bytes before it as additional data, of
//
//	struct { opaque capsule[32], path<V>, share[32]; } shares<V>;
//
// The custodian signs all but the signature under "writ/v1 release".
type Release struct {
	Request           ledger.EntryHash
	Office, Custodian string
	Intent            uint64
	Sealed            []byte
	Signature         [ed25519.SignatureSize]byte
}

// Share is one custodian's share of one compartment, opened.
type Share struct {
	Capsule   capsule.Hash
	Custodian string
	Path      []byte
	Secret    [capsule.ShareSize]byte
}

const (
	releaseVersion = 1
	xwingEnc       = 1120 // bytes of an X-Wing encapsulated key
	maxPath        = 4
	maxSealed      = xwingEnc + MaxCompartments*(32+1+maxPath+capsule.ShareSize) + 64
	maxRelease     = maxSealed + 512
)

// NewRelease opens this custodian's shares and seals them to the reader. It
// asks for the proof that exactly the intent of a is on the ledger, under a
// checkpoint fresh at now, and that the warrant still lives. It is all or
// nothing.
func NewRelease(a *Authorization, intent *ledger.Included, keys *Keyring, signing ledger.CustodianSigner, now time.Time) (*Release, error) {
	if err := a.allows(intent, warrant.Disclose, now); err != nil {
		return nil, err
	}
	if keys.office != a.intent.Office || keys.custodian != a.intent.Custodian {
		return nil, refused("keys of %s, authorisation of %s", keys.custodian, a.intent.Custodian)
	}
	content, err := a.openShares(keys)
	if err != nil {
		return nil, err
	}
	defer clear(content)
	r := &Release{Request: a.intent.Request, Office: a.intent.Office, Custodian: a.intent.Custodian, Intent: intent.Index()}
	if err := r.seal(a.warrant, content); err != nil {
		return nil, err
	}
	r.sign(signing)
	if !r.Verify(a.signing) {
		return nil, refused("signing key is not %s's in the charter", a.intent.Custodian)
	}
	return r, nil
}

// allows checks the proof of the intent, and that it is for what is about to be done. The
// checkpoint is verified again, under the policy and freshness of the authorisation.
func (a *Authorization) allows(in *ledger.Included, action warrant.Action, now time.Time) error {
	if a == nil || len(a.compared) == 0 || in == nil {
		return refused("no authorisation or no logged intent")
	}
	logged, verify := intentOf(in.Entry(), action)
	if a.warrant.Action != action || logged == nil {
		return refused("no authorisation, or no logged intent, for this")
	}
	want := a.intent
	want.Signature = logged.Signature
	life := uint64(max(now.Unix(), 0))
	switch {
	case *logged != want:
		return refused("the logged intent is another")
	case !verify(a.signing):
		return refused("the logged intent is not signed by %s", want.Custodian)
	case in.Index() <= want.RequestIndex:
		return refused("the logged intent stands before its request")
	case life < a.warrant.NotBefore || life >= a.warrant.NotAfter:
		return refused("the warrant's life is over")
	}
	if _, err := a.policy.Checkpoint(in.Checkpoint().Signed(), now, a.fresh); err != nil {
		return refused("logged intent: %v", err)
	}
	return nil
}

// intentOf returns the intent in an entry that announces an action, with its signature's
// check, or nil.
func intentOf(e *ledger.Entry, action warrant.Action) (*ledger.Release, func(charter.CustodianKey) bool) {
	switch {
	case action == warrant.Disclose && e.Release != nil:
		return e.Release, e.Release.Verify
	case action == warrant.Preserve && e.Preservation != nil:
		return &e.Preservation.Release, e.Preservation.Verify
	}
	return nil, nil
}

// openShares returns the plaintext of sealed.
func (a *Authorization) openShares(keys *Keyring) ([]byte, error) {
	content := make([]byte, 0, maxSealed)
	for _, s := range a.compared {
		share, err := s.openWith(keys)
		if err != nil {
			clear(content)
			return nil, fmt.Errorf("unseal: capsule %s: %w", s.hash, err)
		}
		content = append(content, s.hash[:]...)
		content = append(content, byte(len(s.path))) // <V> of at most 63 bytes
		content = append(content, s.path...)
		content = append(content, share...)
		clear(share)
	}
	return content, nil
}

func (r *Release) seal(w *warrant.Warrant, content []byte) error {
	public, err := hpke.MLKEM768X25519().NewPublicKey(w.ReaderKey)
	if err != nil {
		return fmt.Errorf("unseal: reader key: %w", err)
	}
	enc, s, err := hpke.NewSender(public, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), r.info())
	if err != nil {
		return fmt.Errorf("unseal: reader key: %w", err)
	}
	sealed, err := s.Seal(r.head(), content)
	if err != nil {
		return fmt.Errorf("unseal: %w", err)
	}
	r.Sealed = append(enc, sealed...)
	return nil
}

func (r *Release) sign(k ledger.CustodianSigner) {
	r.Signature = [64]byte(ed25519.Sign(ed25519.PrivateKey(k), wire.SignContent("release", r.content())))
}

func (r *Release) info() []byte {
	h := wire.Hash("release", r.Request[:], []byte(r.Custodian))
	return h[:]
}

// head is what stands before sealed.
func (r *Release) head() []byte {
	var w wire.Writer
	w.Uint16(releaseVersion)
	w.Fixed(r.Request[:])
	w.String(r.Office)
	w.String(r.Custodian)
	w.Uint64(r.Intent)
	return w.Bytes()
}

// content is what the signature covers.
func (r *Release) content() []byte {
	var w wire.Writer
	w.Fixed(r.head())
	w.Opaque(r.Sealed)
	return w.Bytes()
}

// Encode returns the encoding.
func (r *Release) Encode() []byte { return append(r.content(), r.Signature[:]...) }

// ParseRelease reads the form only; see [OpenRelease].
func ParseRelease(b []byte) (*Release, error) {
	if len(b) > maxRelease {
		return nil, fmt.Errorf("unseal: release: %w: %d bytes", wire.ErrMalformed, len(b))
	}
	r := wire.NewReader(b)
	if v := r.Uint16(); r.Err() == nil && v != releaseVersion {
		return nil, fmt.Errorf("unseal: release: %w: version %d", ErrUnsupported, v)
	}
	rel := &Release{Request: r.Array32(), Office: r.Name(), Custodian: r.Name(), Intent: r.Uint64(), Sealed: r.Opaque(maxSealed)}
	copy(rel.Signature[:], r.Fixed(ed25519.SignatureSize))
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("unseal: release: %w", err)
	}
	return rel, nil
}

// Verify reports whether the custodian signed the release. It needs no secret.
func (r *Release) Verify(custodian charter.CustodianKey) bool {
	return custodian.Verify("release", r.content(), r.Signature[:])
}

// OpenRelease verifies the custodian's signature, opens the release with the
// reader key and returns the shares. Whether a share is good shows in
// [Combiner.Combine].
func OpenRelease(r *Release, k *ReaderKey, custodian charter.CustodianKey) ([]Share, error) {
	if !r.Verify(custodian) {
		return nil, invalid("release is not signed by %s", r.Custodian)
	}
	if len(r.Sealed) < xwingEnc {
		return nil, invalid("release of %s is cut", r.Custodian)
	}
	to, err := hpke.NewRecipient(r.Sealed[:xwingEnc], k.private, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), r.info())
	if err != nil {
		return nil, invalid("release of %s does not open", r.Custodian)
	}
	content, err := to.Open(r.head(), r.Sealed[xwingEnc:])
	if err != nil {
		return nil, invalid("release of %s does not open with this reader key", r.Custodian)
	}
	defer clear(content)
	return parseShares(content, r.Custodian)
}

func parseShares(content []byte, custodian string) ([]Share, error) {
	in := wire.NewReader(content)
	var shares []Share
	for in.More() {
		s := Share{Capsule: in.Array32(), Custodian: custodian, Path: append([]byte{}, in.Opaque(maxPath)...), Secret: in.Array32()}
		if shares = append(shares, s); len(shares) > MaxCompartments {
			in.Fail("more than %d shares", MaxCompartments)
		}
	}
	if err := in.Done(); err != nil {
		return nil, fmt.Errorf("unseal: release of %s: %w", custodian, err)
	}
	return shares, nil
}
