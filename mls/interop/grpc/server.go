package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"writ/mls"
	"writ/mls/interop/grpc/mlsclient"
)

// A server holds what the runner has made so far, by the numbers it was given.
type server struct {
	mlsclient.UnimplementedMLSClientServer

	all       bool       // suites
	mu        sync.Mutex // for all below, held during each call
	last      uint32
	members   map[uint32]*member
	newcomers map[uint32]*newcomer
	signers   map[uint32]mls.Client
	endings   map[uint32]*ending
}

// A member is one in one group.
type member struct {
	group   *mls.Group
	client  mls.Client
	private bool // handshake messages
	psks    psks
}

// A newcomer has a key package and waits for a Welcome.
type newcomer struct {
	client  mls.Client
	kp      *mls.KeyPackage
	secrets []byte
	psks    psks
}

// An ending is a member of a group that was reinitialised, ready for the next one.
type ending struct {
	*member
	next *newcomer
}

type psks map[string][]byte

func newServer(all bool) *server {
	return &server{all: all, members: make(map[uint32]*member), newcomers: make(map[uint32]*newcomer),
		signers: make(map[uint32]mls.Client), endings: make(map[uint32]*ending)}
}

// serve answers until the listener is closed.
func (s *server) serve(l net.Listener) error {
	g := grpc.NewServer(grpc.UnaryInterceptor(s.oneByOne))
	mlsclient.RegisterMLSClientServer(g, s)
	return g.Serve(l)
}

var errUnknown = errors.New("unknown")

// oneByOne makes one call at a time, as the runner does, and names errors as gRPC does.
func (s *server) oneByOne(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, err := handle(ctx, req)
	if _, named := status.FromError(err); named {
		return out, err
	}
	code := codes.InvalidArgument
	if errors.Is(err, errUnknown) {
		code = codes.NotFound
	}
	return nil, status.Error(code, err.Error())
}

// keep stores v under the next number, which no map has.
func keep[T any](s *server, in map[uint32]T, v T) uint32 {
	s.last++
	in[s.last] = v
	return s.last
}

func find[T any](in map[uint32]T, what string, id uint32) (T, error) {
	v, ok := in[id]
	if !ok {
		return v, fmt.Errorf("%w %s %d", errUnknown, what, id)
	}
	return v, nil
}

func (s *server) member(id uint32) (*member, error) { return find(s.members, "state", id) }

func (s *server) suites() []mls.CipherSuite {
	list := mls.CipherSuites()
	if !s.all {
		list = slices.DeleteFunc(list, func(cs mls.CipherSuite) bool { return cs >= 0xF000 })
	}
	return list
}

// config lets everybody in: the runner is the authentication service.
func (p psks) config() mls.Config {
	return mls.Config{
		Authenticate:      func(*mls.LeafNode) error { return nil },
		Now:               time.Now,
		MaxPastEpochs:     16,
		MaxResumptionPSKs: 1 << 10,
		ExternalCommits:   true,
		ExternalProposals: true,
		PSK: func(k mls.PSK) ([]byte, error) {
			if secret, ok := p[string(k.ID)]; ok && k.GroupID == nil {
				return secret, nil
			}
			return nil, errors.New("not stored here")
		},
	}
}

func newClient(suite uint32, identity []byte) (mls.Client, error) {
	if suite > 0xffff {
		return mls.Client{}, fmt.Errorf("cipher suite %d", suite)
	}
	key, err := mls.GenerateSignatureKey(mls.CipherSuite(suite))
	now := uint64(time.Now().Unix())
	return mls.Client{
		Credential: mls.Credential{Identity: identity},
		Key:        key,
		Lifetime:   mls.Lifetime{NotBefore: now - 3600, NotAfter: now + 30*86400},
		GREASE:     true,
	}, err
}

func newNewcomer(suite uint32, identity []byte) (*newcomer, error) {
	c, err := newClient(suite, identity)
	if err != nil {
		return nil, err
	}
	kp, secrets, err := c.NewKeyPackage(nil)
	return &newcomer{c, kp, secrets, make(psks)}, err
}

// private are the private keys of a newcomer, bare: init, encryption, signature.
func (n *newcomer) private() (initKey, encryption, signature []byte, err error) {
	initKey, rest, err := cutOpaque(n.secrets)
	if err != nil {
		return nil, nil, nil, err
	}
	encryption, _, err = cutOpaque(rest)
	return initKey, encryption, n.client.Key.Bytes(), err
}
