package etsi

import (
	"encoding/hex"

	"writ/bundle"
	"writ/warrant"
)

// Specification names the content of a manifest in the way of the standard's
// dictionaries.
const Specification = "WritBundleV1"

// Manifest returns a bundle's manifest as a DeliveryObject, indented.
// Identifiers derive from the bundle's hash, so the same bundle gives the same
// manifest.
//
// The bundle travels beside the manifest and is named by its checksum: it is
// a secret, and a manifest is not. It holds no message and no name of a
// person. A receiver that validates against ETSI's schema embeds the
// bundle itself as delivery:Data.
func Manifest(r *bundle.Report) []byte {
	parts := []object{}
	for _, c := range r.Compartments {
		parts = append(parts, object{"writ:Capsule": c.Capsule, "writ:Messages": len(c.Messages),
			"writ:CountByDelivery": c.Count, "writ:Missing": !c.Complete()})
	}
	sum, _ := hex.DecodeString(r.SHA256)
	id, _ := hex.DecodeString(r.Warrant.ID)
	o := namespaces()
	o["@xmlns:delivery"] = Delivery
	o["@xsi:type"] = "{" + Delivery + "}DeliveryObject"
	o["ObjectIdentifier"] = derived("delivery", sum)
	o["AssociatedObjects"] = object{"AssociatedObject": []string{formatUUID(warrant.ID(id))}}
	o["delivery:Reference"] = object{"delivery:LDID": r.Warrant.Reference}
	o["delivery:DeliveryID"] = derived("delivery id", sum)
	o["delivery:SequenceNumber"], o["delivery:LastSequence"] = 1, true
	o["delivery:Manifest"] = object{
		"delivery:Specification": entry(owner, "ManifestSpecification", Specification),
		"delivery:ManifestContents": object{"delivery:JSONData": object{
			"writ:WarrantHash": r.Warrant.Hash, "writ:WarrantEntry": r.Warrant.Index, "writ:RequestEntry": r.Warrant.Request,
			"writ:Log": r.Log.Origin, "writ:CharterHash": r.Charter.Hash, "writ:Complete": r.Complete, "writ:KeysProven": r.KeysProven,
			"writ:Compartments": parts,
		}},
	}
	o["delivery:Delivery"] = object{"delivery:BinaryData": object{"delivery:ContentType": "application/octet-stream",
		"delivery:Checksum": r.SHA256, "delivery:ChecksumType": "SHA-256", "writ:Size": r.Size}}
	return bundle.EncodeJSON(object{"HI1Object": o})
}
