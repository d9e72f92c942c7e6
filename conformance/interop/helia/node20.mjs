// Helia 7 is written for Node 22. On Node 20 it lacks this, and needs an older undici (see package.json).
Promise.withResolvers ??= () => {
  const parts = {}
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return parts
}
