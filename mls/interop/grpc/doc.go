// Grpc serves the MLS library to the interop runner of the MLS working group
// (mlswg/mls-implementations), over the gRPC protocol of mlsclient/mls_client.proto. It
// is a module of its own, so that gRPC is no dependency of anything else.
//
//	go run . -listen 127.0.0.1:50051
//	test-runner -client 127.0.0.1:50051 -client PEER:PORT -config configs/commit.json
//
// One server plays any number of clients; the runner tells it who does what, and compares
// the epoch authenticators. Every call of the protocol is implemented. The suites offered
// are those of RFC 9420 that the library has; -all adds those that no registry has
// numbered yet, which make sense between two of these servers.
//
// The library's choices stand: every commit has a path, whether force_path asks for it or
// not; an external commit is a PublicMessage, whatever encrypt_handshake says; a commit
// takes in all valid proposals of its epoch that its author has seen, of which
// by_reference names those that it has not. Credentials are believed: here nothing is
// protected from anybody. State is in memory only.
//
// The tests drive two servers over loopback through scenarios of the kinds that the
// runner's configurations have, with handshake messages in the open and private.
package main
