// Package mlsclient is the Go that is generated from mls_client.proto. To generate again
// after a change, with protoc installed:
//
//	go generate ./mlsclient
package mlsclient

//go:generate sh generate.sh
