package beacon

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math"
	"testing"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"pgregory.net/rapid"

	"writ/internal/wire"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Public values of drand's chain quicknet.
const (
	quicknetKey = "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451" +
		"0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a"
	quicknetGenesis = 1692803367
	quicknetPeriod  = 3
)

var quicknetRounds = []struct {
	round      uint64
	signature  string
	randomness string
}{
	{1000, "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39",
		"fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd"},
	{1001, "b33bf3667cbd5a82de3a24b4e0e9fe5513cc1a0e840368c6e31f5fcfa79bea03f73896b25883abf2853d10337fb8fa41", ""},
	{1002, "ab066f9c12dd6de1336fca0f925192fb0c72a771c3e4c82ede1fd362c1a770f9eb05843c6308ce2530b53a99c0281a6e", ""},
	{657413, "b713718a38ae728dfd477991af2822e08d2f305e47718cef9f7848ce4050e7be41076862b98fad56e91a6b85b89cd97b",
		"fc1873a13f3545aeade8401532ef5519920652eee6b0d2b19ca12643b87b3587"},
}

func quicknet(t testing.TB) *Beacon {
	t.Helper()
	key, err := ParsePublicKey(unhex(t, quicknetKey))
	if err != nil {
		t.Fatal(err)
	}
	return &Beacon{key, quicknetGenesis, quicknetPeriod}
}

func TestQuicknet(t *testing.T) {
	b := quicknet(t)
	var batch []Signed
	for _, c := range quicknetRounds {
		sig, err := b.Key.Verify(c.round, unhex(t, c.signature))
		if err != nil {
			t.Fatalf("round %d: %v", c.round, err)
		}
		if got := sig.Randomness(); c.randomness != "" && hex.EncodeToString(got[:]) != c.randomness {
			t.Errorf("round %d: randomness %x", c.round, got)
		}
		if sig.Round() != c.round || hex.EncodeToString(sig.Bytes()) != c.signature {
			t.Errorf("round %d comes back as %d, %x", c.round, sig.Round(), sig.Bytes())
		}
		batch = append(batch, Signed{c.round, unhex(t, c.signature)})
	}
	if _, err := b.Key.VerifyAll(batch); err != nil {
		t.Error(err)
	}
	// drand's clock: round 1000 came 999 periods after genesis.
	if at, err := b.Time(1000); err != nil || at != 1692806364 {
		t.Errorf("round 1000 at %d, %v", at, err)
	}
}

// A file encrypted to round 1000 of quicknet by another implementation of tlock
// (tlock-rs): its stanza opens to the file key, under which the file's own
// MAC verifies (age-encryption.org/v1).
func TestTlockFile(t *testing.T) {
	const head = "age-encryption.org/v1\n" +
		"-> tlock 1000 52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971\n"
	const stanza = "pxe5Qzc07ZbkRIc9YdePwl6mrxGHBi96Kk1ZLc/vJ17J5h/dRrLrirmO7283XKFd\n" +
		"FkWLVEtZ5nhNhIlU78F7h9PYffQo1zlTioQ4gkk0+5ytV2AAVRqo6Qabbr51luKy\n" +
		"TzC0NeS0V37fkVch3jO05rLNL9hYtv1IkJN0UqKvR1M\n"
	const grease = "-> g>4l+re-grease nU\n472Eo4HCd8yueQ\n---"
	const mac = "dOHaJgZuQQe34qOk2GZbieXHInaNrsDKpjWV99+7Awc"
	b := quicknet(t)
	sig, err := b.Key.Verify(1000, unhex(t, quicknetRounds[0].signature))
	if err != nil {
		t.Fatal(err)
	}
	ciphertext, err := base64.RawStdEncoding.DecodeString(string(bytes.ReplaceAll([]byte(stanza), []byte("\n"), nil)))
	if err != nil {
		t.Fatal(err)
	}
	fileKey, err := decrypt(ciphertext, &sig.point)
	if err != nil {
		t.Fatal(err)
	}
	macKey, err := hkdf.Key(sha256.New, fileKey, nil, "header", 32)
	if err != nil {
		t.Fatal(err)
	}
	h := hmac.New(sha256.New, macKey)
	h.Write([]byte(head + stanza + grease))
	if got := base64.RawStdEncoding.EncodeToString(h.Sum(nil)); got != mac {
		t.Errorf("MAC %s, want %s", got, mac)
	}
}

// keyPair returns a beacon of one, for tests of what doesn't depend on shares.
func keyPair(seed string) (*PublicKey, fr.Element) {
	var s fr.Element
	h := sha256.Sum256([]byte(seed))
	s.SetBytes(h[:])
	return &PublicKey{secretG2(&s)}, s
}

func signature(s fr.Element, round uint64) []byte {
	id := identity(round)
	p := secretG1(&id, &s)
	b := p.Bytes()
	return b[:]
}

func verified(t testing.TB, key *PublicKey, round uint64, b []byte) *Signature {
	t.Helper()
	s, err := key.Verify(round, b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// R16: the salt comes out of the round's signature alone.
func TestUnlockBySignatureAlone(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		key, s := keyPair(rapid.String().Draw(rt, "key"))
		round := rapid.Uint64Min(1).Draw(rt, "round")
		salt := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(rt, "salt"))
		lock, err := Lock(key, round, salt)
		if err != nil || len(lock) != TimelockSize {
			rt.Fatalf("%d bytes, %v", len(lock), err)
		}
		if err := Check(lock, key, round, salt); err != nil {
			rt.Fatal(err)
		}
		got, err := Unlock(lock, verified(t, key, round, signature(s, round)))
		if err != nil || got != salt {
			rt.Fatalf("%x, %v", got, err)
		}
	})
}

// The coins derive from the salt: everybody who has it makes the same bytes.
func TestLockGolden(t *testing.T) {
	const want = "83df6204bcc9d926c863ed4da420ddb7d5cbed822dbfa1bed756024048133388f6a15efaacc08ea92e42290309dea96e" +
		"033710e10a5d0f70308451589efce65528c86addccdb3f8d3395bfc7cfa27421f0ccad2e912dbb09954ad1732dc30112" +
		"12eed829aad5a99a8b6d0240f62f7a18379634b70047b5ddbb79f1b47621ee4db339e1646b8237fc892480beb28536dc" +
		"7584540e94d9607c29f638d1e60d116a"
	b := quicknet(t)
	lock, err := Lock(b.Key, 1000, [32]byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(lock); got != want {
		t.Errorf("timelock\n%s, want\n%s", got, want)
	}
	sig := verified(t, b.Key, 1000, unhex(t, quicknetRounds[0].signature))
	if salt, err := Unlock(lock, sig); err != nil || salt != [32]byte{1, 2, 3} {
		t.Errorf("quicknet's own signature opens it to %x, %v", salt, err)
	}
}

func TestOtherTimelock(t *testing.T) {
	key, s := keyPair("a")
	other, o := keyPair("b")
	salt := [32]byte{7}
	lock, err := Lock(key, 9, salt)
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"round":  Check(lock, key, 10, salt),
		"beacon": Check(lock, other, 9, salt),
		"salt":   Check(lock, key, 9, [32]byte{8}),
		"short":  Check(lock[:TimelockSize-1], key, 9, salt),
		"long":   Check(append(bytes.Clone(lock), 0), key, 9, salt),
		"zero":   Check(lock, key, 0, salt),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("check with another %s: %v", name, err)
		}
	}
	if _, err := Lock(key, 0, salt); !errors.Is(err, ErrInvalid) {
		t.Errorf("lock to round 0: %v", err)
	}
	for name, sig := range map[string]*Signature{
		"round":  verified(t, key, 10, signature(s, 10)),
		"beacon": verified(t, other, 9, signature(o, 9)),
	} {
		if got, err := Unlock(lock, sig); !errors.Is(err, ErrInvalid) || got != ([32]byte{}) {
			t.Errorf("unlock with the signature of another %s: %x, %v", name, got, err)
		}
	}
	sig := verified(t, key, 9, signature(s, 9))
	for _, b := range [][]byte{nil, lock[:TimelockSize-1], append(bytes.Clone(lock), 0)} {
		if _, err := Unlock(b, sig); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("timelock of %d bytes: %v", len(b), err)
		}
	}
}

// No changed timelock opens, whichever bit of it is changed.
func TestChangedTimelock(t *testing.T) {
	key, s := keyPair("a")
	lock, err := Lock(key, 9, [32]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	sig := verified(t, key, 9, signature(s, 9))
	for i := range lock {
		changed := bytes.Clone(lock)
		changed[i] ^= 1 << (i % 8)
		if _, err := Unlock(changed, sig); err == nil {
			t.Errorf("opens with byte %d changed", i)
		}
		if Check(changed, key, 9, [32]byte{7}) == nil {
			t.Errorf("checks with byte %d changed", i)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	key, s := keyPair("a")
	_, o := keyPair("b")
	good := signature(s, 5)
	infinity := make([]byte, SignatureSize)
	infinity[0] = 0xc0
	for name, c := range map[string]struct {
		round uint64
		b     []byte
		want  error
	}{
		"another round":        {6, good, ErrInvalid},
		"another beacon":       {5, signature(o, 5), ErrInvalid},
		"round 0":              {0, signature(s, 0), ErrInvalid},
		"the identity":         {5, infinity, ErrInvalid},
		"outside the subgroup": {5, outsideG1(t), wire.ErrMalformed},
		"short":                {5, good[:47], wire.ErrMalformed},
		"long":                 {5, append(bytes.Clone(good), 0), wire.ErrMalformed},
		"empty":                {5, nil, wire.ErrMalformed},
	} {
		if got, err := key.Verify(c.round, c.b); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: %v", name, err)
		}
		batch := []Signed{{5, good}, {c.round, c.b}}
		if got, err := key.VerifyAll(batch); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s in a batch: %v", name, err)
		}
	}
	if _, err := parseG1(infinity); !errors.Is(err, ErrInvalid) {
		t.Errorf("the identity of G1 parses: %v", err)
	}
	id := identity(5)
	uncompressed := id.RawBytes()
	if _, err := parseG1(uncompressed[:]); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("an uncompressed point of G1 parses: %v", err)
	}
	if _, err := key.VerifyAll(nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("empty batch: %v", err)
	}
}

// Two wrong signatures whose errors cancel pass a plain sum, not a batch.
func TestBatchOfCancellingErrors(t *testing.T) {
	key, s := keyPair("a")
	a, b := parse1(t, signature(s, 5)), parse1(t, signature(s, 6))
	d := identity(77)
	a.Add(&a, &d)
	b.Sub(&b, &d)
	ab, bb := a.Bytes(), b.Bytes()
	if _, err := key.VerifyAll([]Signed{{5, ab[:]}, {6, bb[:]}}); !errors.Is(err, ErrInvalid) {
		t.Errorf("errors that cancel: %v", err)
	}
	// So do errors that cancel under the coefficients of the honest list: these
	// depend on the signatures.
	c := key.coefficients([]Signed{{5, signature(s, 5)}, {6, signature(s, 6)}})
	var ratio fr.Element
	ratio.Div(&c[0], &c[1])
	e := secretG1(&d, &ratio)
	a, b = parse1(t, signature(s, 5)), parse1(t, signature(s, 6))
	a.Add(&a, &d)
	b.Sub(&b, &e)
	ab, bb = a.Bytes(), b.Bytes()
	if _, err := key.VerifyAll([]Signed{{5, ab[:]}, {6, bb[:]}}); !errors.Is(err, ErrInvalid) {
		t.Errorf("errors that cancel under foreseen coefficients: %v", err)
	}
}

func parse1(t testing.TB, b []byte) bls.G1Affine {
	t.Helper()
	p, err := parseG1(b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// outsideG1 returns a point of the curve that is not in the subgroup.
func outsideG1(t testing.TB) []byte {
	t.Helper()
	for i := byte(1); i < 100; i++ {
		b := make([]byte, SignatureSize)
		b[0], b[SignatureSize-1] = 0x80, i
		var p bls.G1Affine
		p.X.SetUint64(uint64(i))
		p.Y.Square(&p.X).Mul(&p.Y, &p.X)
		var four fp.Element
		p.Y.Add(&p.Y, four.SetUint64(4))
		if p.Y.Legendre() == 1 && p.Y.Sqrt(&p.Y) != nil && p.IsOnCurve() && !p.IsInSubGroup() {
			c := p.Bytes()
			return c[:]
		}
	}
	t.Fatal("no such point found")
	return nil
}

// outsideG2 does it on the twist.
func outsideG2(t testing.TB) []byte {
	t.Helper()
	for i := byte(1); i < 100; i++ {
		p := bls.MapToCurve2(&bls.E2{A0: fp.NewElement(uint64(i)), A1: fp.NewElement(3)})
		if p.IsInSubGroup() {
			continue
		}
		c := p.Bytes()
		return c[:]
	}
	t.Fatal("no such point found")
	return nil
}

func TestParsePublicKeyRefuses(t *testing.T) {
	good := unhex(t, quicknetKey)
	infinity := make([]byte, PublicKeySize)
	infinity[0] = 0xc0
	uncompressed := quicknet(t).Key.point.RawBytes()
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"the identity":                    {infinity, ErrInvalid},
		"the identity with a further bit": {append(bytes.Clone(infinity[:95]), 1), wire.ErrMalformed},
		"the identity with a sign":        {append([]byte{0xe0}, infinity[1:]...), wire.ErrMalformed},
		"outside the subgroup":            {outsideG2(t), wire.ErrMalformed},
		"uncompressed":                    {uncompressed[:], wire.ErrMalformed},
		"half uncompressed":               {uncompressed[:PublicKeySize], wire.ErrMalformed},
		"x not below p":                   {append([]byte{0x9f}, bytes.Repeat([]byte{0xff}, 95)...), wire.ErrMalformed},
		"short":                           {good[:95], wire.ErrMalformed},
		"long":                            {append(bytes.Clone(good), 0), wire.ErrMalformed},
	} {
		if got, err := ParsePublicKey(c.b); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestParseBeacon(t *testing.T) {
	b := quicknet(t)
	enc := b.Encode()
	got, err := Parse(enc)
	if err != nil || len(enc) != Size || !got.Key.Equal(b.Key) || got.Genesis != b.Genesis || got.Period != b.Period {
		t.Fatalf("%v, %v", got, err)
	}
	other, _ := keyPair("a")
	if b.Key.Equal(other) {
		t.Error("two keys are equal")
	}
	for name, c := range map[string]struct {
		change func(b []byte) []byte
		want   error
	}{
		"format":      {func(b []byte) []byte { b[1] = 2; return b }, ErrUnsupported},
		"key":         {func(b []byte) []byte { b[3] ^= 1; return b }, wire.ErrMalformed},
		"genesis":     {func(b []byte) []byte { b[98] = 1; return b }, ErrInvalid},
		"no period":   {func(b []byte) []byte { b[113] = 0; return b }, ErrInvalid},
		"long period": {func(b []byte) []byte { b[109] = 1; return b }, ErrInvalid},
		"short":       {func(b []byte) []byte { return b[:Size-1] }, wire.ErrMalformed},
		"long":        {func(b []byte) []byte { return append(b, 0) }, wire.ErrMalformed},
	} {
		if got, err := Parse(c.change(bytes.Clone(enc))); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Beacon{Genesis: rapid.Uint64Max(MaxGenesis).Draw(t, "genesis"), Period: rapid.Uint64Range(1, MaxPeriod).Draw(t, "period")}
		at := rapid.Uint64Max(math.MaxInt64).Draw(t, "time")
		from := b.RoundFrom(at)
		if start, err := b.Time(from); err == nil && start < at {
			t.Fatalf("RoundFrom(%d) = %d, which comes at %d", at, from, start)
		}
		if from > 1 {
			if before, err := b.Time(from - 1); err != nil || before >= at {
				t.Fatalf("round %d comes at %d already, %v", from-1, before, err)
			}
		}
		last := b.Round(at)
		if at < b.Genesis {
			if last != 0 || from != 1 {
				t.Fatalf("before genesis: last %d, from %d", last, from)
			}
			return
		}
		start, err := b.Time(last)
		if err != nil || start > at || at-start >= b.Period {
			t.Fatalf("Round(%d) = %d, which comes at %d, %v", at, last, start, err)
		}
	})
	b := Beacon{Genesis: 10, Period: 3}
	for _, round := range []uint64{0, math.MaxUint64, math.MaxInt64} {
		if at, err := b.Time(round); !errors.Is(err, ErrInvalid) {
			t.Errorf("round %d at %d, %v", round, at, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(quicknet(f).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, err := Parse(b); err == nil && !bytes.Equal(x.Encode(), b) {
			t.Fatalf("%x encodes as %x", b, x.Encode())
		}
	})
}

func FuzzVerify(f *testing.F) {
	key, s := keyPair("a")
	good := signature(s, 3)
	f.Add(good)
	f.Add(outsideG1(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		sig, err := key.Verify(3, b)
		if (err == nil) != bytes.Equal(b, good) {
			t.Fatalf("%x: %v", b, err)
		}
		if err == nil && !bytes.Equal(sig.Bytes(), b) {
			t.Fatalf("%x encodes as %x", b, sig.Bytes())
		}
	})
}

func FuzzUnlock(f *testing.F) {
	key, s := keyPair("a")
	sig := verified(f, key, 3, signature(s, 3))
	lock, err := Lock(key, 3, [32]byte{1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(lock)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Unlock(b, sig); (err == nil) != bytes.Equal(b, lock) {
			t.Fatalf("%x: %v", b, err)
		}
	})
}

func BenchmarkPairing(b *testing.B) {
	key, _ := keyPair("a")
	id := identity(3)
	for b.Loop() {
		if _, err := bls.Pair([]bls.G1Affine{id}, []bls.G2Affine{key.point}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLock(b *testing.B) {
	key, _ := keyPair("a")
	for b.Loop() {
		if _, err := Lock(key, 3, [32]byte{1}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	key, _ := keyPair("a")
	lock, _ := Lock(key, 3, [32]byte{1})
	for b.Loop() {
		if err := Check(lock, key, 3, [32]byte{1}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnlock(b *testing.B) {
	key, s := keyPair("a")
	lock, _ := Lock(key, 3, [32]byte{1})
	sig := verified(b, key, 3, signature(s, 3))
	for b.Loop() {
		if _, err := Unlock(lock, sig); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	key, s := keyPair("a")
	sig := signature(s, 3)
	for b.Loop() {
		if _, err := key.Verify(3, sig); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyAll1000(b *testing.B) {
	key, s := keyPair("a")
	list := make([]Signed, 1000)
	for i := range list {
		list[i] = Signed{uint64(i + 1), signature(s, uint64(i+1))}
	}
	for b.Loop() {
		if _, err := key.VerifyAll(list); err != nil {
			b.Fatal(err)
		}
	}
}
