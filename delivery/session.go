package delivery

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"writ/api"
	"writ/directory"
	"writ/engine"
	"writ/internal/wire"
)

const (
	sessionLife   = 24 * time.Hour
	challengeLife = time.Minute
)

// sessions are the logins of this process. A token is 32 random bytes; only its
// hash is kept. A challenge needs no memory until it is used: it is its expiry and
// a random nonce under a MAC.
type sessions struct {
	macKey []byte

	mu       sync.Mutex
	byToken  map[tokenHash]session
	byDevice map[directory.Identity][]tokenHash // oldest first
	swept    time.Time                          // when sessions were last looked through for ended ones

	// Challenges that were used, in two generations: what is in used when it is turned
	// into older has expired when the next turn drops it. So no login looks at all.
	used, older map[string]bool
	turned      time.Time
}

type tokenHash [32]byte

type session struct {
	device  directory.Identity
	expires time.Time
}

func newSessions() *sessions {
	return &sessions{
		macKey:   randomBytes(32),
		byToken:  map[tokenHash]session{},
		byDevice: map[directory.Identity][]tokenHash{},
	}
}

// challenge returns uint64 expiry || nonce[16] || mac[32].
func (x *sessions) challenge(id directory.Identity, now time.Time) []byte {
	var w wire.Writer
	w.Uint64(uint64(now.Add(challengeLife).Unix()))
	w.Fixed(randomBytes(16))
	w.Fixed(x.mac(id, w.Bytes()))
	return w.Bytes()
}

func (x *sessions) mac(id directory.Identity, head []byte) []byte {
	h := hmac.New(sha256.New, x.macKey)
	h.Write(head)
	h.Write(id.Encode())
	return h.Sum(nil)
}

// use reports whether a challenge was given to the device, is young enough, and
// was not used before.
func (x *sessions) use(id directory.Identity, challenge []byte, now time.Time) bool {
	r := wire.NewReader(challenge)
	expires := time.Unix(int64(r.Uint64()), 0)
	r.Fixed(16)
	mac := r.Fixed(32)
	if r.Done() != nil || !hmac.Equal(mac, x.mac(id, challenge[:24])) || !now.Before(expires) {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if now.Sub(x.turned).Abs() > challengeLife {
		x.used, x.older, x.turned = map[string]bool{}, x.used, now
	}
	again := x.used[string(challenge)] || x.older[string(challenge)]
	x.used[string(challenge)] = true
	return !again
}

// open starts a session; the device's oldest ends if it has too many.
func (x *sessions) open(id directory.Identity, now time.Time) (token string, expires time.Time) {
	raw := randomBytes(32)
	key := tokenHash(sha256.Sum256(raw))
	expires = now.Add(sessionLife)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sweep(now)
	list := append(x.byDevice[id], key)
	for len(list) > maxSessions {
		delete(x.byToken, list[0])
		list = list[1:]
	}
	x.byDevice[id] = list
	x.byToken[key] = session{id, expires}
	return base64.RawURLEncoding.EncodeToString(raw), expires
}

// endAll ends the sessions of a device.
func (x *sessions) endAll(id directory.Identity) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, key := range x.byDevice[id] {
		delete(x.byToken, key)
	}
	delete(x.byDevice, id)
}

// sweep forgets sessions that are over, once in a while.
func (x *sessions) sweep(now time.Time) {
	if now.Sub(x.swept).Abs() < sessionLife/24 {
		return
	}
	x.swept = now
	for id, list := range x.byDevice {
		list = slices.DeleteFunc(list, func(key tokenHash) bool {
			over := !now.Before(x.byToken[key].expires)
			if over {
				delete(x.byToken, key)
			}
			return over
		})
		if x.byDevice[id] = list; len(list) == 0 {
			delete(x.byDevice, id)
		}
	}
}

// find looks a token up by its hash, so that comparing it tells nothing about it.
func (x *sessions) find(token string, now time.Time) (*caller, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return nil, false
	}
	c := &caller{key: sha256.Sum256(raw)}
	x.mu.Lock()
	defer x.mu.Unlock()
	s, ok := x.byToken[c.key]
	c.device = s.device
	return c, ok && now.Before(s.expires)
}

// lives reports whether a session goes on.
func (x *sessions) lives(key tokenHash, now time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	s, ok := x.byToken[key]
	return ok && now.Before(s.expires)
}

// caller is the value of the context under callerKey: whose session it is.
type caller struct {
	device directory.Identity
	key    tokenHash
}

type callerKey struct{}

// open are the calls that need no session, with the bytes that each may have.
var open = map[string]int64{
	api.DeliveryRegisterProcedure:  4<<10 + directory.MaxVersion*(directory.MaxStatement+4), // with an account's whole history
	api.DeliveryChallengeProcedure: 4 << 10,
	api.DeliveryLoginProcedure:     4 << 10,
	api.DeliveryDiscloseProcedure:  4 << 20,
}

// authenticate puts the caller of the bearer token, if there is a good one, into
// the request's context. Who has no session is turned away before the body is read.
func (s *Service) authenticate(next http.Handler) http.Handler {
	refuse := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit, isOpen := open[r.URL.Path]
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch c, ok := s.sessions.find(token, s.now()); {
		case isOpen:
			r.Body = http.MaxBytesReader(w, r.Body, limit)
		case ok:
			r = r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
		default:
			refuse.Write(w, r, unauthenticated("no session"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// device returns the device that calls.
func device(ctx context.Context) (directory.Identity, error) {
	c, ok := ctx.Value(callerKey{}).(*caller)
	if !ok {
		return directory.Identity{}, unauthenticated("no session")
	}
	return c.device, nil
}

// identity takes a device's name from a request.
func identity(account, device string) (directory.Identity, error) {
	if !wire.ValidName(account) || !wire.ValidName(device) {
		return directory.Identity{}, malformed("account %q or device %q is not a name", account, device)
	}
	return directory.Identity{Account: account, Device: device}, nil
}

// LoginContent is what a device signs as "login". Address is where it believes it logs
// in, so that a login at a false address is none at the true one:
//
//	struct { opaque account<V>; opaque device<V>; opaque address<V>; opaque challenge<V>; }
func LoginContent(id directory.Identity, address string, challenge []byte) []byte {
	return identityContent(id, []byte(address), challenge)
}

func identityContent(id directory.Identity, more ...[]byte) []byte {
	var w wire.Writer
	w.String(id.Account)
	w.String(id.Device)
	for _, b := range more {
		w.Opaque(b)
	}
	return w.Bytes()
}

func verify(key []byte, name string, content, signature []byte) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, wire.SignContent(name, content), signature)
}

// Challenge implements api.Delivery. It tells nothing about who is registered.
func (s *Service) Challenge(_ context.Context, r *api.ChallengeRequest) (*api.ChallengeResponse, error) {
	id, err := identity(r.Account, r.Device)
	if err != nil {
		return nil, err
	}
	return &api.ChallengeResponse{Challenge: s.sessions.challenge(id, s.now())}, nil
}

// Login implements api.Delivery.
func (s *Service) Login(ctx context.Context, r *api.LoginRequest) (*api.LoginResponse, error) {
	id, err := identity(r.Account, r.Device)
	if err != nil {
		return nil, err
	}
	key, err := s.keys.get(ctx, s.store, id)
	if err != nil && err != engine.ErrNotFound {
		return nil, s.storeFault(err, "device")
	}
	content := LoginContent(id, s.config.Address, r.Challenge)
	if err != nil || !verify(key, "login", content, r.Signature) || !s.sessions.use(id, r.Challenge, s.now()) {
		return nil, unauthenticated("device, challenge or signature is wrong, or the address that was signed")
	}
	now := s.now()
	token, expires := s.sessions.open(id, now)
	if dropped, err := s.store.Dropped(ctx, id.Account, id.Device); err != nil || dropped { // which may end sessions meanwhile
		s.sessions.endAll(id)
		if err != nil {
			return nil, s.storeFault(err, "device")
		}
		return nil, fault(connect.CodePermissionDenied, &api.Hint{Hint: "An earlier device of the account, or its recovery code, can add another one."},
			"refused: the account dropped this device")
	}
	return &api.LoginResponse{Token: token, Expires: uint64(expires.Unix()), NowMs: uint64(now.UnixMilli())}, nil
}
