package mls

// confirmedHash is confirmed_transcript_hash of RFC 9420 8.2 after a commit.
func (s *suite) confirmedHash(interim []byte, a *authenticatedContent) []byte {
	w := writer{append([]byte(nil), interim...)}
	w.uint16(uint16(a.format)) // ConfirmedTranscriptHashInput
	a.content.encode(&w)
	w.opaque(a.auth.signature)
	return s.hash(w.buf)
}

// interimHash is interim_transcript_hash of RFC 9420 8.2.
func (s *suite) interimHash(confirmed, confirmationTag []byte) []byte {
	w := writer{append([]byte(nil), confirmed...)}
	w.opaque(confirmationTag) // InterimTranscriptHashInput
	return s.hash(w.buf)
}
