"""Step 2, model definition: pretrained backbones, our own CNN, a person's own `nn.Module`."""
