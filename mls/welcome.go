package mls

// welcome is Welcome of RFC 9420 12.4.3.1.
type welcome struct {
	suite              CipherSuite
	secrets            []encryptedGroupSecrets
	encryptedGroupInfo []byte
}

// encryptedGroupSecrets is EncryptedGroupSecrets of RFC 9420 12.4.3.1.
type encryptedGroupSecrets struct {
	newMember []byte // KeyPackageRef
	secrets   hpkeCiphertext
}

func (e encryptedGroupSecrets) encode(w *writer) {
	w.opaque(e.newMember)
	e.secrets.encode(w)
}

func (m *welcome) encode(w *writer) {
	w.uint16(uint16(m.suite))
	encodeAll(w, m.secrets)
	w.opaque(m.encryptedGroupInfo)
}

func decodeWelcome(r *reader) *welcome {
	return &welcome{
		suite: CipherSuite(r.uint16()),
		secrets: decodeAll(r, func(r *reader) encryptedGroupSecrets {
			return encryptedGroupSecrets{r.opaque(), decodeHPKECiphertext(r)}
		}),
		encryptedGroupInfo: r.opaque(),
	}
}

// groupSecrets is GroupSecrets of RFC 9420 12.4.3.1.
type groupSecrets struct {
	joiner     []byte
	pathSecret []byte // nil when absent
	psks       []pskID
}

func (g *groupSecrets) encode(w *writer) {
	w.opaque(g.joiner)
	if w.present(g.pathSecret != nil) {
		w.opaque(g.pathSecret)
	}
	encodeAll(w, g.psks)
}

func decodeGroupSecrets(r *reader) *groupSecrets {
	g := &groupSecrets{joiner: r.opaque()}
	if r.present() {
		if g.pathSecret = r.opaque(); g.pathSecret == nil {
			g.pathSecret = []byte{}
		}
	}
	g.psks = decodeAll(r, decodePSKID)
	return g
}
