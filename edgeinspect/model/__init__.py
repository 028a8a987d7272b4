"""The networks, in torch: masks, token merging, generator, discriminator, latent encoder."""
