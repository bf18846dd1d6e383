// Package api is what the services say to each other and to devices: one .proto
// file per service, and the Go generated from them. There is nothing else here.
// Nothing that is signed, hashed or sealed is encoded as protobuf; it travels
// as opaque bytes.
//
// Handlers and clients are connect's, in the simple form: a unary call takes a
// context and a message. To generate again after a change, with protoc installed:
//
//	go generate ./api
package api

//go:generate sh generate.sh
