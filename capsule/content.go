package capsule

import (
	"encoding/binary"
	"fmt"
)

// An application message's content is a number and the text:
//
//	struct { uint32 number; opaque text[rest]; } Content;
//
// The number is the message's generation, its place among what the sender says in
// the epoch. MLS keeps the generation beside the signed content, not in it (RFC 9420
// sections 6.1 and 6.3.2), and every member knows the sender's keys: without the
// number a member could take the sender's signature from one place to another, and
// so repeat, reorder or leave out what somebody else said.
const numberSize = 4

// Content returns the content of the message that will have a generation.
func Content(generation uint32, text []byte) []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, numberSize+len(text)), generation), text...)
}

// Text returns the text of a message that came with a generation, or an error if
// its sender said it in another place. It aliases content.
func Text(generation uint32, content []byte) ([]byte, error) {
	if len(content) < numberSize {
		return nil, fmt.Errorf("capsule: %w: message of %d bytes without a number", ErrInvalid, len(content))
	}
	if said := binary.BigEndian.Uint32(content); said != generation {
		return nil, fmt.Errorf("capsule: %w: the sender's message %d stands in the place of %d: somebody repeated or moved it", ErrInvalid, said, generation)
	}
	return content[numberSize:], nil
}
