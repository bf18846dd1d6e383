package bundle

import (
	"encoding/hex"
	"fmt"
)

// DeliverySpecification names the content of the manifest in the way of ETSI
// TS 103 120's dictionaries.
const DeliverySpecification = "WritBundleV1"

// Delivery103120 returns a manifest of the bundle in the shape of an ETSI TS 103
// 120 DeliveryObject in JSON, indented. Members with the prefixes of that
// standard ("delivery:", "common:") mean what it says; those with the prefix
// "writ:" are this package's own and stand inside the manifest. Identifiers
// derive from the bundle's hash, so the same bundle gives the same manifest.
//
// The bundle travels beside the manifest and is named by its checksum: it is
// a secret, and a manifest is not. It holds no message and no name of a
// person. A receiver that validates against ETSI's schema embeds the
// bundle itself as delivery:Data.
func (r *Report) Delivery103120() []byte {
	parts := []map[string]any{}
	for _, c := range r.Compartments {
		parts = append(parts, map[string]any{"writ:Capsule": c.Capsule, "writ:Messages": len(c.Messages),
			"writ:CountByDelivery": c.Count, "writ:Missing": len(c.Gaps) > 0 || c.Unopened})
	}
	object := map[string]any{
		"@xmlns":            "http://uri.etsi.org/03120/common/2019/10/Core",
		"@xmlns:xsi":        "http://www.w3.org/2001/XMLSchema-instance",
		"@xmlns:common":     "http://uri.etsi.org/03120/common/2016/02/Common",
		"@xmlns:delivery":   "http://uri.etsi.org/03120/common/2019/10/Delivery",
		"@xsi:type":         "delivery:DeliveryObject",
		"ObjectIdentifier":  r.uuid(0),
		"AssociatedObjects": map[string]any{"AssociatedObject": []string{warrantUUID(r.Warrant.ID)}},
		"delivery:Reference": map[string]any{
			"delivery:LDID": r.Warrant.Reference,
		},
		"delivery:DeliveryID":     r.uuid(16),
		"delivery:SequenceNumber": 1,
		"delivery:LastSequence":   true,
		"delivery:Manifest": map[string]any{
			"delivery:Specification": map[string]any{"common:Owner": "Writ", "common:Name": "ManifestSpecification",
				"common:Value": DeliverySpecification},
			"delivery:ManifestContents": map[string]any{
				"writ:WarrantHash": r.Warrant.Hash, "writ:WarrantEntry": r.Warrant.Index, "writ:RequestEntry": r.Warrant.Request,
				"writ:Log": r.Log.Origin, "writ:CharterHash": r.Charter.Hash, "writ:Complete": r.Complete,
				"writ:Compartments": parts,
			},
		},
		"delivery:Delivery": map[string]any{
			"delivery:BinaryData": map[string]any{"delivery:ContentType": "application/octet-stream",
				"delivery:Checksum": r.SHA256, "delivery:ChecksumType": "SHA-256", "writ:Size": r.Size},
		},
	}
	return encodeJSON(map[string]any{"HI1Object": object})
}

// uuid derives a UUID of version 8 (RFC 9562 section 5.8) from 16 bytes of the
// file's hash.
func (r *Report) uuid(at int) string {
	b, err := hex.DecodeString(r.SHA256)
	if err != nil || len(b) != 32 {
		return ""
	}
	return formatUUID([16]byte(b[at : at+16]))
}

// warrantUUID is the warrant's random id in the form of a UUID.
func warrantUUID(id string) string {
	b, err := hex.DecodeString(id)
	if err != nil || len(b) != 16 {
		return ""
	}
	return formatUUID([16]byte(b))
}

func formatUUID(b [16]byte) string {
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
