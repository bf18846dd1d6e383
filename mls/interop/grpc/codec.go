package main

import (
	"errors"

	"writ/mls"
	"writ/mls/interop/grpc/mlsclient"
)

// cutOpaque takes an opaque<V> off the beginning of b (RFC 9420 2.1.2).
func cutOpaque(b []byte) (value, rest []byte, err error) {
	short := errors.New("opaque<V> is cut short")
	if len(b) == 0 {
		return nil, nil, short
	}
	size := 1 << (b[0] >> 6)
	if size > 4 || len(b) < size {
		return nil, nil, short
	}
	n := uint64(b[0] & 0x3f)
	for _, c := range b[1:size] {
		n = n<<8 | uint64(c)
	}
	if b = b[size:]; uint64(len(b)) < n {
		return nil, nil, short
	}
	return b[:n], b[n:], nil
}

// appendOpaque appends value as opaque<V>.
func appendOpaque(b, value []byte) []byte {
	switch n := len(value); {
	case n < 1<<6:
		b = append(b, byte(n))
	case n < 1<<14:
		b = append(b, 0x40|byte(n>>8), byte(n))
	default:
		b = append(b, 0x80|byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(b, value...)
}

// extensions is never nil: an empty list is a list.
func extensions(list []*mlsclient.Extension) ([]mls.Extension, error) {
	out := make([]mls.Extension, 0, len(list))
	for _, e := range list {
		if e.ExtensionType > 0xffff {
			return nil, errors.New("extension type of more than 16 bits")
		}
		out = append(out, mls.Extension{Type: mls.ExtensionType(e.ExtensionType), Data: e.ExtensionData})
	}
	return out, nil
}

func keyPackages(list [][]byte) ([]*mls.KeyPackage, error) {
	var out []*mls.KeyPackage
	for _, b := range list {
		kp, err := mls.ParseKeyPackage(b)
		if err != nil {
			return nil, err
		}
		out = append(out, kp)
	}
	return out, nil
}
